"""On a GPU that torch and JAX share: memory is read where it lies, and gradients are a CPU's."""

from collections.abc import Iterator

import jax
import numpy as np
import optax
import pytest

from adam import lenient_adam  # noqa: F401  # a fixture
from tracegrad.errors import UsageError

torch = pytest.importorskip(
    "torch", reason="torch is not installed: pip install 'tracegrad[torch]'"
)
if not torch.cuda.is_available() or jax.default_backend() != "gpu":
    pytest.skip("there is no GPU that torch and JAX both see", allow_module_level=True)
from tracegrad.interop.torch import array, arrays  # noqa: E402

from .wrapped import BATCH, CLASSES, LINES, RULES, STEPS, made, module  # noqa: E402

CLOSE = {"rtol": 1e-4, "atol": 1e-6}  # 32 bits, summed in another order


@pytest.fixture(autouse=True)
def _as_on_a_gpu() -> Iterator[None]:
    """Reals of 32 bits, multiplied as such: JAX's default on a GPU keeps ten bits of a factor."""
    with jax.enable_x64(False), jax.default_matmul_precision("highest"):
        yield


@pytest.fixture
def batch() -> tuple:
    """Sequences (batch, time, m) and a class each, on the GPU."""
    draw = torch.Generator().manual_seed(0)
    xs = (torch.rand(BATCH, STEPS, LINES, generator=draw) < 0.4).float()
    return xs.cuda(), torch.randint(0, CLASSES, (BATCH,), generator=draw).cuda()


def alike(own, other, what: str = "") -> None:
    np.testing.assert_allclose(own.detach().cpu(), other.detach().cpu(), **CLOSE, err_msg=what)


def test_a_batch_on_the_gpu_is_read_where_it_lies(batch):
    xs, ys = batch
    for tensor in (xs, xs.transpose(0, 1), ys.int(), xs.bool()):
        read = array(tensor)
        assert read.unsafe_buffer_pointer() == tensor.data_ptr()
        assert [device.platform for device in read.devices()] == ["gpu"]
        np.testing.assert_array_equal(read, tensor.cpu().numpy())
    assert arrays(xs, ys, batch_first=True).xs.unsafe_buffer_pointer() == xs.data_ptr()


@pytest.mark.parametrize("name", ["gaps", "expanded", "offset", "pinned", "int64"])
def test_a_tensor_that_cannot_be_shared_is_copied_right(name):
    plain = torch.rand(64)
    tensor = {
        "gaps": plain.cuda()[::2],
        "expanded": plain.cuda().expand(3, 64),
        "offset": plain.cuda()[1:],
        "pinned": plain.pin_memory(),
        "int64": torch.arange(64, device="cuda"),
    }[name]
    read = array(tensor)
    np.testing.assert_array_equal(jax.jit(lambda a: a + 0)(read), tensor.cpu().numpy())
    assert [device.platform for device in read.devices()] == ["cpu" if name == "pinned" else "gpu"]


def test_jax_waits_for_the_stream_that_torch_is_at_work_on():
    with torch.cuda.stream(torch.cuda.Stream()):
        tensor = torch.zeros(1 << 20, device="cuda")
        torch.cuda._sleep(500_000_000)  # cycles: a good part of a second
        tensor += 1
        total = array(tensor).sum()
    assert float(total) == 1 << 20


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_gradient_on_the_gpu_is_that_on_a_cpu(batch, rule):
    learner = made(rule)
    there, here = (module(learner, batch_first=True) for _ in range(2))
    here.cpu()
    losses = there.sequence(*batch), here.sequence(*(tensor.cpu() for tensor in batch))
    for loss in losses:
        loss.backward()
    alike(*losses)
    alike(there(batch[0]), here(batch[0].cpu()))
    for (name, own), other in zip(there.named_parameters(), here.parameters(), strict=True):
        assert own.is_cuda and own.grad.is_cuda and not other.is_cuda
        assert own.grad.abs().max() > 1e-4
        alike(own.grad, other.grad, name)


def test_a_stream_learns_on_the_gpu_as_on_a_cpu(batch):
    """Also where it was moved in the middle: states and traces go with the parameters."""
    xs, ys = batch[0].transpose(0, 1).contiguous(), batch[1].expand(STEPS, BATCH).contiguous()
    nets = [module(made(optimiser=optax.identity(), every=3), stream=True) for _ in range(3)]
    there, here, moved = nets
    here.cpu()
    for start in range(0, STEPS, 3):
        moved.to("cuda" if start < 6 else "cpu")
        for net in nets:
            device = next(net.parameters()).device
            optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
            net.run(xs[start : start + 3].to(device), ys[start : start + 3].to(device)).backward()
            optimiser.step()
    for (name, own), *others in zip(
        there.named_parameters(), here.parameters(), moved.parameters(), strict=True
    ):
        for other in others:
            alike(own, other, name)


def test_an_optimiser_of_torch_trains_on_the_gpu(batch):
    net = module(made(), batch_first=True)
    at = {name: parameter.data_ptr() for name, parameter in net.named_parameters()}
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = net.sequence(*batch)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    for name, parameter in net.named_parameters():
        assert parameter.is_cuda and parameter.data_ptr() == at[name], name


def test_a_learner_computes_where_its_batch_lies(batch):
    learner = made(optimiser=optax.sgd(0.1))
    for device in ("cuda", "cpu"):
        state = learner.init(jax.random.key(0), BATCH, stream=False)
        given = (tensor.to(device) for tensor in batch)
        state, _ = learner.sequence(state, *arrays(*given, batch_first=True))
        (found,) = state.network.layers[0].input.weight.devices()
        assert found.platform == {"cuda": "gpu", "cpu": "cpu"}[device]


def test_two_devices_at_once_are_refused(batch):
    (xs, ys), net = batch, module(made(), batch_first=True)
    with pytest.raises(UsageError, match="xs must lie on one device, got cuda:0 and cpu. Move one"):
        net.sequence(xs.cpu(), ys.cpu())
    with pytest.raises(UsageError, match="xs and ys must lie on one device, got cuda:0 and cpu"):
        net.sequence(xs, ys.cpu())
    net.readout.cpu()
    with pytest.raises(UsageError, match="readout.input.weight must lie on one device, got cuda"):
        net(xs)
