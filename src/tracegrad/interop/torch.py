"""PyTorch: batches of a DataLoader for a learner, and a learner as a module torch can train."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from tracegrad.data.extras import extra
from tracegrad.errors import UsageError
from tracegrad.learn.plans.plan import Data
from tracegrad.model.network import Network
from tracegrad.run.learner import Info, Learner
from tracegrad.run.learner_state import LearnerState, apart
from tracegrad.run.mesh import ALONE
from tracegrad.run.weights import names
from tracegrad.substrate.substrate import IDEAL

torch = extra("torch", "PyTorch modules", "torch")
Tensor = Any  # torch.Tensor: the package may be missing where types are checked
Gradient = Callable[..., tuple[Network, LearnerState, Info]]
ALIGNED = 64  # bytes: XLA takes memory that begins at a multiple of so many


def arrays(
    xs: Tensor,
    ys: Tensor,
    weight: Tensor | None = None,
    valid: Tensor | None = None,
    batch_first: bool = False,
) -> Data:
    """A batch of tensors as a learner takes it: `learner.sequence(state, *arrays(xs, ys))`.

    `xs` is (time, batch, m), with `batch_first` (batch, time, m), as a DataLoader collates it. A
    target for each sequence, a class (batch,) or values (batch, o), holds at every step with
    weight 1/steps; one for each step is (time, batch) or (time, batch, o), in the order of `xs`.

    Reals of JAX's default type are read where they lie, on a CPU or a GPU, through DLPack: no copy,
    so do not write into the tensors while the learner reads them. Whole numbers and truth values
    become reals where they are inputs, and int64 classes int32 unless JAX_ENABLE_X64 is set:
    copies. All must lie on one device, which is the one that the learner then computes on.
    """

    _check_together({"xs": xs, "ys": ys, "weight": weight, "valid": valid})
    inputs, marks = _inputs(xs, valid, batch_first)
    given = None if weight is None else _real(_time_first(weight, batch_first), "weight")
    one_each = ys.ndim == (2 if ys.is_floating_point() else 1)
    ordered = ys if one_each else _time_first(ys, batch_first)
    targets = _real(ordered, "ys") if ys.is_floating_point() else array(ordered)
    weighs = jnp.ones(inputs.shape[:2], inputs.dtype)
    if one_each:
        weighs = weighs if marks is None else marks.astype(float)
        weighs = weighs / jnp.maximum(jnp.sum(weighs, axis=0, keepdims=True), 1.0)
        targets = jnp.broadcast_to(targets, (len(inputs), *targets.shape))
    return Data(inputs, targets, weighs if given is None else given, marks)


def array(tensor: Tensor) -> Array:
    """A tensor as an array of its device, through DLPack: its own memory where that can be.

    It can if the tensor is dense and begins at a multiple of 64 bytes, as all do that torch
    allocates. Otherwise, of pinned memory, and for whole numbers of 64 bits without
    JAX_ENABLE_X64, a copy. On a GPU, JAX's stream waits for what torch's has still to do.
    """
    _check_readable(tensor)
    if tensor.data_ptr() % ALIGNED or tensor.is_pinned():
        tensor = tensor.clone(memory_format=torch.contiguous_format)
    try:
        return jax.dlpack.from_dlpack(tensor)
    except jax.errors.JaxRuntimeError:  # strides with gaps, or of an expanded axis
        return jax.dlpack.from_dlpack(tensor.contiguous())


class OnlineModule(torch.nn.Module):
    """A learner as a `torch.nn.Module`: torch holds the parameters, the rule gives their gradient.

    ```python
    net = OnlineModule(learner, learner.init(key, batch=1, stream=False), batch_first=True)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    for xs, ys in loader:
        optimiser.zero_grad()
        net.sequence(xs, ys).backward()  # the gradient of the rule
        optimiser.step()
    ```

    The loss bears the rule's gradient with it, computed as the sequence ran forward; `backward`
    only scales it and adds it to `.grad`. So whatever torch does with a loss, it does here:
    weighted sums, accumulation, clipping, hooks. `parameters()` are those that learn, frozen ones
    are buffers, and names are those of `weights.safetensors` of a run. Batches are as in `arrays`.
    Parameters begin where `state` lies; `net.to(device)` moves them, and the stream with them.
    The learner's own optimiser and `update_every` stay unused: torch's optimiser does their work.
    """

    def __init__(self, learner: Learner, state: LearnerState, batch_first: bool = False):
        """Copy `state`; refuses a learner whose weights change by more than a gradient."""
        torch.nn.Module.__init__(self)
        _check(learner)
        self.learner, self.batch_first = learner, batch_first
        self._structure = jax.tree.structure(state.network)
        learning = jax.tree.leaves(state.network.learning())
        leaves = jax.tree.leaves(jax.block_until_ready(state.network))
        self._names = names(state.network)
        for name, value, learns in zip(self._names, leaves, learning, strict=True):
            self._place(name, torch.from_dlpack(jnp.asarray(value)).clone(), learns)
        self._state = jax.device_put(apart(state), self._where())
        self._answer = jax.jit(lambda network, xs, valid: network(xs, None, valid)[0][-1])
        self._whole = jax.jit(self._from_rest)

    def forward(self, xs: Tensor, valid: Tensor | None = None) -> Tensor:
        """The readout (time, batch, o) of sequences from rest, or (batch, time, o); no learning.

        Its backward is refused: the gradient belongs to `sequence` and `run`.
        """

        def answer() -> Tensor:
            self._check_beside(xs)
            _check_together({"xs": xs, "valid": valid})
            inputs = _inputs(xs, valid, self.batch_first)
            ready = jax.block_until_ready(self._answer(self.network(), *inputs))
            tensor = torch.from_dlpack(ready)
            return tensor.transpose(0, 1) if self.batch_first else tensor

        return _Answer.apply(answer, *self.parameters())

    def sequence(
        self, xs: Tensor, ys: Tensor, weight: Tensor | None = None, valid: Tensor | None = None
    ) -> Tensor:
        """The loss of whole sequences from rest, with the rule's gradient, as `Learner.sequence`.

        Costs forward pass and gradient, under `torch.no_grad` too.
        """
        self._check_beside(xs)
        return self._loss(self._whole, arrays(xs, ys, weight, valid, self.batch_first))

    def run(
        self, xs: Tensor, ys: Tensor, weight: Tensor | None = None, valid: Tensor | None = None
    ) -> Tensor:
        """The loss of the next block of the stream, with the rule's gradient, as `Learner.run`.

        States and traces go on from block to block: online learning. Needs a state that was made
        with the stream, `learner.init(key, batch)`.
        """
        self._check_beside(xs)
        return self._loss(self.learner.gradient, arrays(xs, ys, weight, valid, self.batch_first))

    def reset(self) -> None:
        """Begin the stream of `run` anew."""
        self._state = self.learner.reset(self._state._replace(network=self.network()))

    def network(self) -> Network:
        """The network with the parameters of now, read where they lie: a view, not a copy."""
        tensors = self._tensors()
        _check_together(tensors)
        return jax.tree.unflatten(self._structure, [_real(tensors[n], n) for n in self._names])

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "OnlineModule":
        """What torch calls to move a module: the stream goes where the parameters go."""
        torch.nn.Module._apply(self, fn, recurse)
        self._state = jax.device_put(self._state, self._where())
        return self

    def _tensors(self) -> dict[str, Tensor]:
        named = dict(self.named_parameters()) | dict(self.named_buffers())
        return {name: named[name].detach() for name in self._names}

    def _where(self) -> jax.sharding.Sharding:
        """Where the parameters lie, as JAX names it."""
        return array(self._tensors()[self._names[0]]).sharding

    def _check_beside(self, xs: Tensor) -> None:
        """Refuse a batch on another device than the parameters'."""
        name = self._names[0]
        _check_together({name: self._tensors()[name], "xs": xs})

    def _place(self, name: str, value: Tensor, learns: bool) -> None:
        """`layers.0.input.weight` becomes the parameter `weight` of modules of these names."""
        *path, last = name.split(".")
        owner = self
        for part in path:
            if part not in dict(owner.named_children()):
                owner.add_module(part, torch.nn.Module())
            owner = owner.get_submodule(part)
        if learns:
            owner.register_parameter(last, torch.nn.Parameter(value))
        else:
            owner.register_buffer(last, value)

    def _from_rest(
        self, state: LearnerState, *data: Array | None
    ) -> tuple[Network, LearnerState, Info]:
        """The gradient of sequences that begin at rest; the stream is left as it is."""
        xs: Any = data[0]
        blank = self.learner.init(jax.random.key(0), xs.shape[1])  # for its shapes alone
        rest = self.learner.reset(state._replace(stream=blank.stream))
        gradient, ended, info = self.learner.gradient(rest, *data)
        return gradient, ended._replace(stream=state.stream), info

    def _loss(self, gradient: Gradient, data: Data) -> Tensor:
        def learned() -> tuple[Tensor, dict[str, Tensor]]:
            state = self._state._replace(network=self.network())
            found = jax.block_until_ready(gradient(state, *data))
            self._state = found[1]._replace(network=self._state.network)
            parts = map(torch.from_dlpack, jax.tree.leaves(found[0]))
            return torch.from_dlpack(found[2].loss), dict(zip(self._names, parts, strict=True))

        names = [name for name, _ in self.named_parameters()]
        return _Loss.apply(learned, names, *self.parameters())


class _Loss(torch.autograd.Function):
    """A loss whose gradient is known as soon as it is."""

    @staticmethod
    def forward(ctx: Any, learned: Callable, names: list[str], *parameters: Tensor) -> Tensor:
        loss, gradients = learned()
        ctx.gradients = [gradients[name] for name in names]
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple:
        return None, None, *(scale * gradient for gradient in ctx.gradients)


class _Answer(torch.autograd.Function):
    """An answer that nobody can differentiate unheard."""

    @staticmethod
    def forward(ctx: Any, answer: Callable, *parameters: Tensor) -> Tensor:
        return answer()

    @staticmethod
    def backward(ctx: Any, *scale: Tensor) -> tuple:
        raise UsageError(
            "The answer of an OnlineModule has no gradient of its own. Call backward on the loss "
            "of net.sequence(xs, ys) or net.run(xs, ys), which bears that of the rule."
        )


def _check(learner: Learner) -> None:
    """Refuse what a gradient and an optimiser of torch cannot do."""
    rule = learner.rule
    own = {
        "a rule that comes with an optimiser of its own": rule.around is not None,
        "a signal that learns its own feedback": rule.signal.adapts,
        "a substrate, which writes weights in its own way": learner.substrate is not IDEAL,
        "several devices": learner.spread is not ALONE,
    }
    if found := next((what for what, there in own.items() if there), None):
        raise UsageError(
            f"An OnlineModule cannot train {found}, got {rule.name}. Train it with tg.Learner."
        )


def _check_readable(tensor: Tensor) -> None:
    """Refuse what JAX cannot read as it is."""
    if tensor.dtype == torch.float64 and jax.dtypes.canonicalize_dtype(float) != np.float64:
        raise UsageError(
            f"A tensor must have 32-bit reals, got {tensor.dtype}. Call .float() on it, or set "
            "JAX_ENABLE_X64=1."
        )
    try:
        jax.devices(tensor.device.type)
    except RuntimeError as error:
        raise UsageError(
            f"A tensor must lie on a device that JAX has, got {tensor.device}. Move it with "
            ".cpu(), or install JAX for that device, such as jax[cuda13]."
        ) from error


def _check_together(tensors: Mapping[str, Tensor | None]) -> None:
    """Refuse tensors of several devices: none is moved without a word."""
    (first, device), *others = [(n, t.device) for n, t in tensors.items() if t is not None]
    for name, other in others:
        if other != device:
            raise UsageError(
                f"{first} and {name} must lie on one device, got {device} and {other}. Move one "
                "of them with .to()."
            )


def _real(tensor: Tensor, name: str) -> Array:
    """A tensor as reals of JAX's default type; other reals are refused, not cast."""
    if not tensor.is_floating_point():
        return array(tensor).astype(float)
    made = array(tensor)
    if made.dtype != (usual := jax.dtypes.canonicalize_dtype(float)):
        raise UsageError(
            f"{name} must have reals of JAX's default type, {usual}, got "
            f"{tensor.dtype}. Convert it with .to(), or set JAX_ENABLE_X64."
        )
    return made


def _inputs(xs: Tensor, valid: Tensor | None, batch_first: bool) -> tuple[Array, Array | None]:
    marks = None if valid is None else array(_time_first(valid, batch_first)).astype(bool)
    return _real(_time_first(xs, batch_first), "xs"), marks


def _time_first(tensor: Tensor, batch_first: bool) -> Tensor:
    """A view: DLPack hands over the order of its axes in memory."""
    return tensor.transpose(0, 1) if batch_first else tensor
