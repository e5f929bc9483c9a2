"""Signals that need no readout weights: projected targets, uniform broadcast, local readouts."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax, random

import claims
import tracegrad as tg
from claims import assert_differ, assert_equal, gradient, network
from tracegrad.learn.filter import NoFilter
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.step import Step

rules, signals = tg.rules, tg.signals
LOSS = tg.losses.mean_squared_error()


@pytest.fixture(scope="module")
def net():
    neurons = (tg.LIF(tau_mem=10e-3), tg.CubaLIF(tau_mem=10e-3, normalised=False, v_threshold=2.0))
    return network(*neurons, recurrent=False, gain=7.0)


def _labels():
    return random.randint(random.key(4), (claims.STEPS, claims.BATCH), 0, claims.OUTPUTS)


def _classes():
    return Data(claims.inputs(), _labels(), claims.weights(), None)


def _outputs(net, xs):
    """Outputs of all stages, each layer a function of its own parameters only."""
    circuit = net.discretise().detach_reset()

    def body(state, x):
        after, z = [], x
        for stage, before in zip(circuit.stages, state, strict=True):
            after.append(
                stage.cell(
                    stage.coefficients,
                    before,
                    stage.current(stage.feedforward(lax.stop_gradient(z)), before.z),
                )
            )
            z = after[-1].z
        return tuple(after), tuple(stage.z for stage in after)

    return lax.scan(body, circuit.rest(xs.shape[1]), xs)[1]


def _asked(net, asked):
    """Gradient of the layers for given signals, one for every output, with layers decoupled."""
    xs = claims.inputs()

    def objective(net):
        return sum(jnp.sum(a * z) for a, z in zip(asked, _outputs(net, xs), strict=False))

    return jax.jit(jax.grad(objective))(net)


def _same(ours, theirs, tolerance=claims.EXACT):
    for a, b in zip(jax.tree.leaves(ours.layers), jax.tree.leaves(theirs.layers), strict=True):
        assert jnp.any(b != 0)
        assert jnp.max(jnp.abs(a - b)) <= tolerance * jnp.max(jnp.abs(b))


def test_projected_classes_are_one_hot_targets_times_fixed_weights(net):
    signal = signals.Target()
    rule = rules.eprop(signal=signal, filter=NoFilter())
    feedback = signal.init(net, random.key(5))
    target = jax.nn.one_hot(_labels(), claims.OUTPUTS, dtype=float)
    share = (claims.weights() / claims.BATCH)[..., None]
    theirs = _asked(net, [(share * target) @ matrix.T for matrix in feedback])
    for plan in (Step, Chunk):
        ours = gradient(
            net, rule, plan=plan, data=_classes(), loss=tg.losses.cross_entropy(), feedback=feedback
        )
        _same(ours, theirs)
    symmetric = gradient(
        net, rules.eprop(filter=NoFilter()), data=_classes(), loss=tg.losses.cross_entropy()
    )
    assert_differ(ours, symmetric, "layers.0.input.weight")


def test_projected_values_are_the_targets_and_scale_as_the_source(net):
    signal = signals.Target()
    feedback = signal.init(net, random.key(5))
    for matrix, n in zip(feedback, claims.SIZES, strict=False):
        assert matrix.shape == (n, claims.OUTPUTS)
        assert 0.5 < jnp.max(jnp.abs(matrix)) / (6 / n) ** 0.5 <= 1
    rule = rules.eprop(signal=signal, filter=NoFilter())
    share = (claims.weights() / claims.BATCH)[..., None]
    theirs = _asked(net, [(share * claims.targets()) @ m.T for m in feedback])
    _same(gradient(net, rule, feedback=feedback), theirs)


def test_uniform_is_random_feedback_with_ones(net):
    ones = tuple(jnp.ones((n, claims.OUTPUTS)) for n in claims.SIZES[:2])
    ours = gradient(net, rules.eprop(signal=signals.Uniform()))
    assert_equal(ours, gradient(net, rules.eprop(signal=signals.Random()), feedback=ones))


def test_uniform_refuses_a_loss_whose_errors_sum_to_zero(net):
    rule = rules.eprop(signal=signals.Uniform())
    with pytest.raises(ValueError, match="the sum of all errors, which is zero for cross_entropy"):
        rule.check_loss(tg.losses.cross_entropy())
    rule.check_loss(LOSS)


@pytest.mark.parametrize("classes", [True, False])
def test_local_readouts_are_ad_of_local_losses(net, classes):
    signal = signals.LocalReadout()
    feedback = signal.init(net, random.key(5))
    loss = tg.losses.cross_entropy() if classes else LOSS
    data = (
        _classes() if classes else Data(claims.inputs(), claims.targets(), claims.weights(), None)
    )

    def objective(net):
        total = 0.0
        for z, matrix in zip(_outputs(net, data.xs), feedback, strict=False):
            read = z @ matrix[:-1] + matrix[-1][None, None]
            values = jax.vmap(loss.at_step)(read, data.ys)
            total += jnp.sum(data.weight * values) / claims.BATCH
        return total

    theirs = jax.jit(jax.grad(objective))(net)
    rule = rules.eprop(signal=signal, filter=NoFilter())
    plan = Step if classes else Chunk
    _same(gradient(net, rule, plan=plan, loss=loss, data=data, feedback=feedback), theirs)


def test_local_readouts_are_drawn_within_their_bound(net):
    for matrix, n in zip(
        signals.LocalReadout(0.5).init(net, random.key(0)), claims.SIZES, strict=False
    ):
        assert matrix.shape == (n + 1, claims.OUTPUTS)
        assert 0.25 < jnp.max(jnp.abs(matrix)) * n**0.5 <= 0.5
