"""A DataLoader's memory is read where it lies, and torch's optimisers train by the rule."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import tracegrad as tg
from adam import lenient_adam  # noqa: F401  # a fixture
from tracegrad.errors import UsageError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "torch.md"
torch = pytest.importorskip(
    "torch", reason="torch is not installed: pip install 'tracegrad[torch]'"
)
from tracegrad.interop.torch import OnlineModule, array, arrays  # noqa: E402

from .wrapped import BATCH, CLASSES, LINES, RULES, STEPS, made, module  # noqa: E402


@pytest.fixture(scope="module")
def data():
    """A DataLoader's batches: sequences (batch, time, m), and a class each."""
    draw = torch.Generator().manual_seed(0)
    xs = (torch.rand(4 * BATCH, STEPS, LINES, generator=draw) < 0.4).double()
    ys = torch.randint(0, CLASSES, (4 * BATCH,), generator=draw)
    return torch.utils.data.TensorDataset(xs, ys)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_batch_of_a_dataloader_is_read_where_it_lies(data, workers):
    context = "spawn" if workers else None
    loader = torch.utils.data.DataLoader(
        data, BATCH, num_workers=workers, multiprocessing_context=context
    )
    seen = 0
    for xs, ys in loader:
        for tensor in (xs, ys, xs.transpose(0, 1)):
            assert array(tensor).unsafe_buffer_pointer() == tensor.data_ptr()
            np.testing.assert_array_equal(array(tensor), tensor.numpy())
        for batch_first in (False, True):
            given = arrays(xs, ys, batch_first=batch_first).xs
            assert given.unsafe_buffer_pointer() == xs.data_ptr()
        seen += 1
    assert seen == 4


@pytest.mark.parametrize("name", ["gaps", "expanded", "offset"])
def test_a_tensor_that_cannot_be_shared_is_copied_right(name):
    plain = torch.rand(64, dtype=torch.float64)
    tensor = {"gaps": plain[::2], "expanded": plain.expand(3, 64), "offset": plain[1:]}[name]
    np.testing.assert_array_equal(array(tensor), tensor.numpy())


def test_a_target_for_a_sequence_holds_at_every_step_that_exists():
    xs, valid = torch.zeros(BATCH, STEPS, LINES, dtype=torch.float64), torch.ones(BATCH, STEPS)
    valid[0, 4:] = 0
    ys = torch.arange(BATCH) % CLASSES
    block = arrays(xs, ys, None, valid, batch_first=True)
    np.testing.assert_array_equal(block.ys, np.broadcast_to(ys.numpy(), (STEPS, BATCH)))
    np.testing.assert_allclose(block.weight[:, 0], np.where(np.arange(STEPS) < 4, 0.25, 0.0))
    np.testing.assert_allclose(np.sum(block.weight, axis=0), 1.0)
    values = torch.rand(BATCH, 2, dtype=torch.float64)
    np.testing.assert_array_equal(arrays(xs, values, batch_first=True).ys[3], values.numpy())
    each = torch.rand(BATCH, STEPS, 2, dtype=torch.float64)
    np.testing.assert_array_equal(arrays(xs, each, batch_first=True).ys[3], each[:, 3].numpy())
    assert np.all(arrays(xs, each, batch_first=True).weight == 1.0)


def test_spikes_of_any_type_are_the_same_input(data):
    xs, ys = data[:BATCH]
    for kind in (torch.bool, torch.uint8, torch.int64):
        np.testing.assert_array_equal(arrays(xs.to(kind), ys).xs, arrays(xs, ys).xs)


def test_reals_of_another_type_are_refused_and_never_cast(data):
    xs, ys = data[:BATCH]
    with pytest.raises(UsageError, match=r"xs must have reals of .* float64, got torch.float32"):
        arrays(xs.float(), ys)
    with jax.enable_x64(False), pytest.raises(UsageError, match="32-bit reals, got torch.float64"):
        array(xs)
    with pytest.raises(UsageError, match="layers.0.input.weight must have reals"):
        module(made()).float()(xs.transpose(0, 1))


def test_what_lies_elsewhere_is_refused_and_never_moved(data):
    """`meta` is a device of torch without memory, there on every machine."""
    xs, ys = data[:BATCH]
    with pytest.raises(UsageError, match="on a device that JAX has, got meta. Move it with .cpu"):
        array(xs.to("meta"))
    with pytest.raises(UsageError, match="xs and ys must lie on one device, got cpu and meta. Mo"):
        arrays(xs, ys.to("meta"))
    net = module(made(), batch_first=True)
    said = "layers.0.input.weight and xs must lie on one device, got cpu and meta"
    for ask in (net.sequence, net.run):
        with pytest.raises(UsageError, match=said):
            ask(xs.to("meta"), ys.to("meta"))
    with pytest.raises(UsageError, match=said):
        net(xs.to("meta"))
    with pytest.raises(UsageError, match="xs and valid must lie on one device"):
        net(xs, xs[..., 0].to("meta"))
    net.readout.to("meta")
    with pytest.raises(UsageError, match="weight and readout.input.weight must lie on one device"):
        net(xs)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_backward_gives_the_gradient_of_the_learner(data, rule):
    learner, (xs, ys) = made(rule), data[:BATCH]
    net, state = module(learner, batch_first=True), learner.init(jax.random.key(0), BATCH)
    loss = net.sequence(xs, ys)
    (2.0 * loss).backward()
    block = jnp.swapaxes(xs.numpy(), 0, 1), jnp.broadcast_to(ys.numpy(), (STEPS, BATCH))
    expected, _, info = learner.gradient(state, *block, jnp.full((STEPS, BATCH), 1 / STEPS))
    assert loss.item() == pytest.approx(float(info.loss), rel=1e-12)
    named = dict(net.named_parameters())
    assert set(named) == {
        "layers.0.input.weight",
        "layers.0.recurrent.weight",
        "readout.input.weight",
    }
    for parameter, own in (
        (named["layers.0.input.weight"], expected.layers[0].input.weight),
        (named["layers.0.recurrent.weight"], expected.layers[0].recurrent.weight),
        (named["readout.input.weight"], expected.readout.input.weight),
    ):
        assert np.abs(own).max() > 1e-6
        np.testing.assert_allclose(
            parameter.grad.numpy(), 2 * np.asarray(own), rtol=1e-10, atol=1e-14
        )


OPTIMISERS = {
    "SGD": (lambda p: torch.optim.SGD(p, lr=0.1), lambda: optax.sgd(0.1)),
    "Adam": (lambda p: torch.optim.Adam(p, lr=0.01), lambda: optax.adam(0.01)),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_an_optimiser_of_torch_trains_as_that_of_optax_does(data, name):
    ours, theirs = OPTIMISERS[name]
    learner = made(optimiser=theirs())
    net, state = (
        module(learner, batch_first=True),
        learner.init(jax.random.key(0), BATCH, stream=False),
    )
    optimiser = ours(net.parameters())
    before = np.array(state.network.layers[0].input.weight)
    for xs, ys in torch.utils.data.DataLoader(data, BATCH):
        optimiser.zero_grad()
        net.sequence(xs, ys).backward()
        optimiser.step()
        state, _ = learner.sequence(state, *arrays(xs, ys, batch_first=True))
    for own, other in zip(
        jax.tree.leaves(state.network), jax.tree.leaves(net.network()), strict=True
    ):
        np.testing.assert_allclose(own, other, rtol=1e-9, atol=1e-12)
    assert np.abs(before - state.network.layers[0].input.weight).max() > 1e-3


def test_online_an_update_after_every_three_steps_is_that_of_the_learner(data):
    """The stream goes on from block to block: states, traces and all."""
    xs, ys = (t.transpose(0, 1).contiguous() if t.ndim > 1 else t for t in data[:BATCH])
    ys = ys.expand(STEPS, BATCH).contiguous()
    learner = made(optimiser=optax.sgd(0.1), every=3)
    net, state = module(learner, stream=True), learner.init(jax.random.key(0), BATCH)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    for start in range(0, STEPS, 3):
        optimiser.zero_grad()
        net.run(xs[start : start + 3], ys[start : start + 3]).backward()
        optimiser.step()
    state, _ = learner.run(state, jnp.asarray(xs.numpy()), jnp.asarray(ys.numpy()))
    for own, other in zip(
        jax.tree.leaves(state.network), jax.tree.leaves(net.network()), strict=True
    ):
        np.testing.assert_allclose(own, other, rtol=1e-9, atol=1e-12)
    again = net.run(xs[:3], ys[:3]).item()
    net.reset()
    assert net.run(xs[:3], ys[:3]).item() != again, "from rest, no longer from where it was"


def test_an_answer_is_that_of_the_network_and_refuses_to_be_differentiated(data):
    learner, (xs, ys) = made(), data[:BATCH]
    net, state = module(learner, batch_first=True), learner.init(jax.random.key(0), BATCH)
    expected = state.network(jnp.swapaxes(xs.numpy(), 0, 1))[0][-1]
    np.testing.assert_allclose(net(xs).detach().transpose(0, 1).numpy(), expected, rtol=1e-12)
    stacked = torch.nn.Sequential(net, torch.nn.Linear(CLASSES, 1, dtype=torch.float64))
    with pytest.raises(UsageError, match="no gradient of its own. Call backward on the loss of"):
        stacked(xs).sum().backward()
    with torch.no_grad():
        assert not net(xs).requires_grad and not net.sequence(xs, ys).requires_grad


def test_parameters_bear_the_names_of_a_weights_file_and_load(data, tmp_path):
    learner = made()
    net = module(learner)
    from safetensors.torch import load

    from tracegrad.run.weights import to_safetensors

    other = learner.init(jax.random.key(5), BATCH).network
    net.load_state_dict(load(to_safetensors(other)))
    for own, loaded in zip(jax.tree.leaves(other), jax.tree.leaves(net.network()), strict=True):
        np.testing.assert_array_equal(own, loaded)
    assert "layers.0.neuron.tau_mem.log" in dict(net.named_buffers()), "frozen: nothing to train"


def test_the_learner_that_was_wrapped_may_go_on(data):
    """It donates its state, of which the module holds copies."""
    learner, (xs, ys) = made(optimiser=optax.sgd(0.1)), data[:BATCH]
    state = learner.init(jax.random.key(0), BATCH)
    net = OnlineModule(learner, state, batch_first=True)
    before = module(learner, batch_first=True).sequence(xs, ys).item()
    learner.sequence(state, *arrays(xs, ys, batch_first=True))
    assert net.sequence(xs, ys).item() == before


@pytest.mark.parametrize(
    ("learner", "said"),
    [
        (lambda: made(tg.rules.fptt()), "an optimiser of its own, got fptt"),
        (lambda: made(tg.rules.dni()), "learns its own feedback, got dni"),
    ],
)
def test_what_a_gradient_cannot_train_is_refused(learner, said):
    with pytest.raises(UsageError, match=said):
        module(learner())


def test_the_page_runs():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    assert blocks
    with jax.enable_x64(False):
        exec("\n".join(blocks), {})
