"""Layer: a population of neurons with an input connection and an optional recurrent one."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from tracegrad.model.abstract_connection import AbstractConnection
from tracegrad.model.connection import Dense
from tracegrad.model.li import LI
from tracegrad.model.linear import AbstractLinear
from tracegrad.model.linear_map import as_matrix
from tracegrad.model.memoryless import Memoryless
from tracegrad.model.neuron import AbstractNeuron
from tracegrad.model.parameter import Positive, setting
from tracegrad.model.sparse import Sparse
from tracegrad.model.stage import Stage


class Layer(eqx.Module):
    r"""Neurons driven by $I^t=Wx^t+b+Vz^{t-1}$; spikes reach the next layer in the same step.

    With `autapses=False` the diagonal of $V$ is held at zero. Every parameter learns unless it is
    frozen in the `Learner`. A neuron with several ports has weights for each: a leading axis.
    The input may be `Dense`, `Conv`, `Pool` or `Sparse`, the recurrent connection `Dense` or
    `Sparse`; of the latter a rule keeps what it keeps of a matrix.
    Example: `Layer(Dense(64, 128), LIF(), recurrent=Dense(128, 128))`.
    """

    input: AbstractConnection
    neuron: AbstractNeuron
    recurrent: Dense | Sparse | None
    autapses: bool = setting(True)

    def __init__(
        self,
        input: AbstractConnection,
        neuron: AbstractNeuron,
        recurrent: Dense | Sparse | None = None,
        autapses: bool = True,
    ):
        """Put neurons behind a connection; refuses shapes that do not fit."""
        self.input = input.with_ports(len(neuron.feedforward_ports))
        self.neuron, self.autapses, self.recurrent = neuron, autapses, None
        if recurrent is None:
            return
        if not neuron.recurrent_ports:
            raise ValueError(
                f"{type(neuron).__name__} takes no recurrent current, got a recurrent connection. "
                "Leave it out."
            )
        self.recurrent = recurrent.with_ports(len(neuron.recurrent_ports))

    def __check_init__(self):
        """Refuse shapes that do not fit."""
        n = self.input.outputs
        if self.recurrent is None:
            return
        lines, units = self.recurrent.inputs, self.recurrent.outputs
        if (lines, units) != (n, n):
            raise ValueError(
                f"The recurrent connection of {n} neurons must be Dense({n}, {n}), got "
                f"{type(self.recurrent).__name__}({lines}, {units})."
            )
        if self.recurrent.biased:
            raise ValueError("A recurrent connection has no bias: give it to the input connection.")

    def discretise(self, dt: float) -> Stage:
        """Effective weights and one coefficient per neuron for a step of `dt` seconds."""
        n, kind = self.input.outputs, self.neuron
        recurrent = None
        if self.recurrent is not None:
            matrices = map(as_matrix, self.recurrent.maps())
            recurrent = dict(zip(kind.recurrent_ports, matrices, strict=True))
            if not self.autapses:
                recurrent = {
                    port: weight * (1.0 - jnp.eye(n, dtype=weight.dtype))
                    for port, weight in recurrent.items()
                }
        maps = dict(zip(kind.feedforward_ports, self.input.maps(), strict=True))
        bias = self.input.biases()
        c = self.neuron.coefficients(dt)
        wrong = {k: v.shape for k, v in c.items() if v.shape not in ((), (n,))}
        if wrong:
            raise ValueError(
                f"Neuron parameters must be shared (shape ()) or one per neuron (shape ({n},)), "
                f"got coefficients of shape {wrong} from {type(self.neuron).__name__}."
            )
        return Stage(
            maps,
            recurrent,
            dict(zip(kind.feedforward_ports, bias, strict=True)) if bias else None,
            {k: jnp.broadcast_to(v, (n,)) for k, v in c.items()},
            eqx.filter(self.neuron, eqx.is_array, inverse=True),
        )


class Readout(eqx.Module):
    r"""Output units: leaky, $y^t=\kappa y^{t-1}+(1-\kappa)(W_o z^t+b)$, or memoryless, or others.

    `tau` is the time constant of $\kappa=e^{-\Delta t/\tau}$ in seconds; `None` makes
    $y^t=W_o z^t+b$. It reads the last layer, or with `all_layers=True` the outputs of all layers
    one after another, so that `inputs` is the sum of their sizes.
    Example: `Readout(128, 10, tau=20e-3)`.
    """

    input: Dense
    neuron: AbstractLinear
    all_layers: bool = setting(False)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        tau: float | Float[Array, " outputs"] | None = 20e-3,
        bias: bool = False,
        all_layers: bool = False,
    ):
        """Describe `outputs` readout units that read `inputs` neurons; weights come later."""
        self.input = Dense(inputs, outputs, bias=bias)
        self.neuron = Memoryless() if tau is None else LI(tau_mem=Positive(tau))
        self.all_layers = all_layers

    @staticmethod
    def of(
        neuron: AbstractLinear,
        inputs: int,
        outputs: int,
        bias: bool = False,
        all_layers: bool = False,
    ) -> "Readout":
        """A readout of other linear units, for example `Readout.of(Integrator(), 128, 10)`."""
        blank = Readout(inputs, outputs, None, bias, all_layers)
        return eqx.tree_at(lambda r: r.neuron, blank, neuron)

    def discretise(self, dt: float) -> Stage:
        """The readout as a stage without recurrence."""
        return Layer(self.input, self.neuron).discretise(dt)
