"""Fidelity: what it reports of rules and of gradients from elsewhere, and what it refuses."""

import json
from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random
from matplotlib.image import imread

import tracegrad as tg
from claims import block, network
from tracegrad.inspect import Trial, assert_faithful, fidelity, judge
from tracegrad.learn.plans.plan import Data

rules, signals = tg.rules, tg.signals
STEPS = 8
XS = random.bernoulli(random.key(1), 0.5, (STEPS, 2, 4)).astype(float)
YS = random.normal(random.key(2), (STEPS, 2, 2))
NET = network(tg.LIF(tau_mem=10e-3))
NAMES = [
    "layers.0.input.weight",
    "layers.0.input.bias",
    "layers.0.neuron.tau_mem",
    "layers.0.neuron.v_threshold",
    "layers.0.recurrent.weight",
    "readout.input.weight",
    "readout.input.bias",
    "readout.neuron.tau_mem",
]
INPUT = "layers.0.input.weight"


@cache
def found(make):
    return fidelity(NET, make(), XS, YS)


@cache
def exact():
    """The exact gradient by name."""
    data = Data(XS, YS, jnp.ones((STEPS, 2)), None)
    tree = block(NET, rules.bptt(), data=data).gradient
    return dict(zip(NAMES, map(np.asarray, jax.tree.leaves(tree)), strict=True))


def test_an_exact_rule_is_exact_for_every_parameter_and_lag():
    result = found(rules.rtrl)
    assert [entry.name for entry in result.parameters] == NAMES
    for entry in result.parameters:
        assert entry.bias < 1e-10 and entry.cosine == pytest.approx(1.0, abs=1e-10)
        assert entry.exact_norm == pytest.approx(np.linalg.norm(exact()[entry.name]))
        assert entry.by_lag.labels == [str(lag) for lag in range(STEPS)]
        assert np.nanmax(np.abs(entry.by_lag.norm_ratio - 1.0)) < 1e-8
    assert 0.01 < result.rates[0] < 0.7


def test_an_approximation_is_exact_in_the_readout_only():
    result, data = found(rules.eprop), Data(XS, YS, jnp.ones((STEPS, 2)), None)
    ours = block(NET, rules.eprop(), data=data).gradient.layers[0].input.weight
    theirs, entry = exact()[INPUT], result[INPUT]
    assert entry.norm_ratio == pytest.approx(float(jnp.linalg.norm(ours)) / np.linalg.norm(theirs))
    assert entry.bias == pytest.approx(
        float(jnp.linalg.norm(ours - theirs)) / np.linalg.norm(theirs)
    )
    assert entry.bias > 1e-2 and entry.by_lag.cosine[0] > 1 - 1e-10
    assert result["readout.input.weight"].bias < 1e-10


def test_random_feedback_is_judged_over_draws():
    rule, key = rules.eprop(signal=signals.Random()), random.key(9)
    result = fidelity(NET, rule, XS, YS, trial=Trial(draws=3, key=key, lags=2))
    data = Data(XS, YS, jnp.ones((STEPS, 2)), None)
    draws = []
    for drawn in random.split(key, 3):
        ours = block(NET, rule, data=data, feedback=rule.signal.init(NET, drawn)).gradient
        draws.append(ours.layers[0].input.weight)
    draws = np.stack(draws)
    norm, entry = np.linalg.norm(exact()[INPUT]), result[INPUT]
    assert entry.bias == pytest.approx(np.linalg.norm(draws.mean(0) - exact()[INPUT]) / norm)
    assert entry.variance == pytest.approx(draws.var(axis=0, ddof=1).sum() / norm**2)
    assert entry.variance > 0.01 and result["readout.input.weight"].variance < 1e-20
    assert entry.by_lag.labels == ["0", "1", "2+"]
    assert "variance" in str(result) and "variance" not in str(found(rules.rtrl))


def test_frozen_parameters_and_loss_weights_and_regularisers():
    loss = tg.losses.mean_squared_error(tg.RateRegulariser(strength=2.0, target=0.1))
    weight = jnp.zeros((STEPS, 2)).at[-1].set(1.0)
    whole = block(NET, rules.bptt(), loss, Data(XS, YS, weight, None)).gradient
    net = NET.freeze("*.neuron.*", "*.bias")
    result = judge(net, whole, XS, YS, loss, weight)
    assert [entry.name for entry in result.parameters] == [NAMES[0], NAMES[4], NAMES[5]]
    assert max(entry.bias for entry in result.parameters) < 1e-10
    assert judge(NET, whole, XS, YS)[INPUT].bias > 1e-2


def test_integer_targets_mean_cross_entropy():
    labels, ones = random.randint(random.key(4), (STEPS, 2), 0, 2), jax.tree.map(jnp.ones_like, NET)
    usual, named = (
        judge(NET, ones, XS, labels, loss) for loss in (None, tg.losses.cross_entropy())
    )
    assert str(usual) == str(named)


def test_the_report_as_json_table_and_picture(tmp_path):
    result = found(rules.eprop)
    plain = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert (plain["rule"], plain["draws"], plain["rates"]) == ("eprop", 1, list(result.rates))
    assert [entry["name"] for entry in plain["parameters"]] == NAMES
    first = plain["parameters"][0]
    assert first["cosine"] == result[INPUT].cosine and first["variance"] is None
    assert first["by_lag"]["norm_ratio"] == result[INPUT].by_lag.norm_ratio.tolist()
    lines = str(result).splitlines()
    assert "eprop" in lines[0] and f"{result[INPUT].cosine:.3f}" in str(result)
    assert all(any(name in line for line in lines) for name in NAMES)
    image = imread(result.draw(tmp_path / "fidelity.png"))
    assert image.shape[1] > 1000 and np.ptp(image[..., :3]) > 0.9


def test_a_gradient_from_elsewhere_is_judged_by_name_or_as_a_tree():
    assert max(entry.bias for entry in judge(NET, exact(), XS, YS).parameters) < 1e-10
    changed = exact() | {INPUT: (-2.0 * exact()[INPUT]).tolist()}  # a list: NumPy reads it
    entry = judge(NET, changed, XS, YS)[INPUT]
    assert (entry.cosine, entry.norm_ratio, entry.sign_agreement) == pytest.approx((-1.0, 2.0, 0.0))
    with pytest.raises(ValueError, match="has no lags"):
        judge(NET, exact(), XS, YS).draw("never.png")


class Graph:
    """As a PyTorch tensor with a graph: NumPy may not read it."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


BAD_GRADIENTS = [
    ({INPUT: None}, ValueError, f"missing: {INPUT}"),
    ({"w": np.ones(2)}, ValueError, "unknown or frozen: w"),
    ({INPUT: np.ones((4, 5))}, ValueError, r"must have shape \(5, 4\), got \(4, 5\)"),
    ({INPUT: np.full((5, 4), np.nan)}, ValueError, "must be finite, got 20 of 20"),
    ({INPUT: np.ones((5, 4), dtype=int)}, TypeError, "must be an array of real numbers, got int64"),
    ({INPUT: "weights"}, TypeError, "must be an array of real numbers"),
    ({INPUT: Graph()}, TypeError, r"requires grad. For .* give tensor.detach\(\).cpu\(\).numpy"),
    ({INPUT: np.zeros((5, 4))}, ValueError, f"exactly zero for {INPUT}, where the exact"),
]


@pytest.mark.parametrize(("change", "kind", "message"), BAD_GRADIENTS)
def test_a_wrong_gradient_is_refused(change, kind, message):
    given = exact() | change
    given = {name: value for name, value in given.items() if value is not None}
    with pytest.raises(kind, match=message):
        judge(NET, given, XS, YS)


def test_a_frozen_parameter_is_unknown():
    with pytest.raises(ValueError, match="unknown or frozen: layers.0.neuron.tau_mem"):
        judge(NET.freeze("layers.0.neuron.tau_mem"), exact(), XS, YS)


def test_assert_faithful_names_what_is_off_and_nothing_else():
    assert_faithful(NET, exact(), XS, YS, cosine=1 - 1e-9, norm=(1 - 1e-9, 1 + 1e-9))
    assert_faithful(NET, rules.eprop(), XS, YS, cosine=0.2, norm=(0.1, 10.0))
    bent = {INPUT: -exact()[INPUT], "readout.input.bias": 3.0 * exact()["readout.input.bias"]}
    with pytest.raises(AssertionError, match="not cosine >= 0.9 and norm ratio 0.5 to 2") as caught:
        assert_faithful(NET, exact() | bent, XS, YS)
    assert [name for name in NAMES if name in str(caught.value)] == [INPUT, "readout.input.bias"]
    with pytest.raises(AssertionError, match=INPUT):
        assert_faithful(NET, rules.eprop(), XS, YS, cosine=0.9999)


class Deaf(signals.Random):
    """Feedback that is zero: no gradient reaches a hidden layer."""

    def init(self, network, key):
        return jax.tree.map(jnp.zeros_like, signals.Random().init(network, key))


def test_a_structurally_zero_gradient_is_refused():
    with pytest.raises(ValueError, match=f"eprop is exactly zero for {INPUT}, .*a path is missing"):
        fidelity(NET, rules.eprop(signal=Deaf()), XS, YS)


def test_a_silent_network_is_refused():
    still = jnp.zeros_like(XS)
    net = network(tg.LIF(tau_mem=10e-3, v_threshold=5.0))
    for use in (
        lambda: fidelity(net, rules.eprop(), still, YS),
        lambda: judge(net, net, still, YS),
    ):
        with pytest.raises(ValueError, match="Hidden layer 0 gives no output on this data"):
            use()


def test_nothing_is_asserted_of_a_zero_gradient():
    """Without input the input weights have no gradient; the biases make the layer spike."""
    net = eqx.tree_at(lambda n: n.layers[0].input.bias, NET, jnp.full(5, 0.5))
    ones = jax.tree.map(jnp.ones_like, net)
    result = judge(net, ones, jnp.zeros_like(XS), YS)
    assert np.isnan(result[INPUT].cosine) and "none" in str(result)
    with pytest.raises(ValueError, match=f"gradient of {INPUT} is zero on this data"):
        result.require(cosine=-1.0, norm=(0.0, np.inf))


def test_wrong_data_and_trials_are_refused(as_user):
    with pytest.raises(ValueError, match=r"xs must have shape \(time, batch, 4\), got \(8, 2, 3\)"):
        fidelity(NET, rules.rtrl(), XS[..., :3], YS)
    with pytest.raises(ValueError, match=r"begin with \(time, batch\) = \(8, 2\)"):
        fidelity(NET, rules.rtrl(), XS, YS[:5])
    with pytest.raises(ValueError, match="at least one draw and one lag, got 0 and 24"):
        fidelity(NET, rules.rtrl(), XS, YS, trial=Trial(draws=0))
