"""The classifier is one of scikit-learn by its own checks, and a spiking network that learns."""

import pickle
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import logsumexp, softmax
from sklearn.base import clone
from sklearn.datasets import load_digits, make_circles
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import tracegrad as tg
from adam import lenient_adam  # noqa: F401  # a fixture
from tracegrad.interop.running_scale import RunningScale
from tracegrad.interop.sklearn import OnlineSpikingClassifier

pytestmark = pytest.mark.usefixtures("as_user")  # scikit-learn's checks hand in what they like
PAGE = Path(__file__).resolve().parents[2] / "docs" / "sklearn.md"
SMALL = {"hidden": 24, "steps": 10, "random_state": 3}


@parametrize_with_checks([OnlineSpikingClassifier(hidden=24, steps=10)])
def test_it_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def circles():
    return train_test_split(*make_circles(300, noise=0.05, factor=0.4, random_state=0))


def test_it_learns_what_no_linear_classifier_can_and_its_neurons_spike(circles):
    xs, held_out, ys, truth = circles
    made = OnlineSpikingClassifier(random_state=0).fit(xs, ys)
    assert LogisticRegression().fit(xs, ys).score(held_out, truth) < 0.65
    assert made.score(held_out, truth) > 0.95
    assert 0.02 < made.rate_ < 0.7


@pytest.mark.slow
def test_it_reads_digits():
    xs, held_out, ys, truth = train_test_split(*load_digits(return_X_y=True), random_state=0)
    made = OnlineSpikingClassifier(random_state=0, epochs=3).fit(xs, ys)
    assert made.score(held_out, truth) > 0.9
    assert 0.02 < made.rate_ < 0.7


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["bptt", "decolle", "dni", "uoro"])  # of each kind one
def test_a_rule_of_any_kind_learns_and_goes_on(circles, rule):
    xs, _, ys, _ = circles
    made = OnlineSpikingClassifier(rule, epochs=1, **SMALL).fit(xs, ys)
    before = made.learned_
    assert made.partial_fit(xs, ys).rate_ > 0.02
    assert any(not np.array_equal(before[name], a) for name, a in made.learned_.items())


def by_hand(samples, labels):
    """The weights after samples that are scaled already, by the learner's own methods."""
    layer = tg.Layer(tg.Dense(2, 24, 0.3, bias=True), tg.LIF(), tg.Dense(24, 24, 0.3))
    network = tg.Network(layer, readout=tg.Readout(24, 2, bias=True), dt=1e-3)
    network = network.freeze("*.neuron.*")
    loss, adam = tg.losses.cross_entropy(), optax.adam(3e-3)
    learner = tg.Learner(network, tg.rules.eprop(), loss, adam, update_every=5)
    state = learner.init(jax.random.key(np.random.RandomState(3).randint(2**31)), 1, stream=False)
    for x, label in zip(samples, labels, strict=True):
        xs, ys = jnp.full((10, 1, 2), x), jnp.full((10, 1), label, jnp.int32)
        state, _ = learner.sequence(state, xs, ys, jnp.full((10, 1), 0.1))
    return state.network


def test_its_updates_are_those_of_the_learner(circles):
    xs, later, ys, later_ys = (a[:40] for a in circles)
    names = np.array(["inner", "outer"])
    made = OnlineSpikingClassifier(tg.rules.eprop(), update_every=5, epochs=2, **SMALL)
    made.fit(xs, names[ys]).partial_fit(later, names[later_ys])
    rng = np.random.RandomState(3)
    rng.randint(2**31)
    orders = np.concatenate([rng.permutation(40), rng.permutation(40)])
    everything = np.concatenate([xs, later])
    scaled = [
        StandardScaler().fit(everything[: 41 + i]).transform(later[[i]])[0] for i in range(40)
    ]
    samples = np.concatenate([StandardScaler().fit_transform(xs)[orders], scaled])
    network = by_hand(samples, np.concatenate([ys[orders], later_ys]))

    held = StandardScaler().fit(everything).transform(xs)
    outputs, _ = network(jnp.broadcast_to(held, (10, 40, 2)))
    assert float(jnp.mean(outputs[0])) > 0.02
    steps = np.asarray(outputs[-1])
    np.testing.assert_allclose(made.predict_proba(xs), softmax(steps.mean(0), axis=1), atol=1e-9)
    every_step = (logsumexp(steps, axis=2) - steps[:, np.arange(40), ys]).mean()
    assert log_loss(names[ys], made.predict_proba(xs)) < every_step
    np.testing.assert_array_equal(made.predict(xs), names[steps.mean(0).argmax(1)])


def test_a_stream_that_is_cut_anywhere_gives_the_same_bits(circles):
    xs, _, ys, _ = circles
    whole = OnlineSpikingClassifier(**SMALL).partial_fit(xs, ys, classes=[0, 1])
    cut = OnlineSpikingClassifier(**SMALL)
    for part in np.split(np.arange(len(xs)), [1, 8, 90, 91]):
        cut.partial_fit(xs[part], ys[part], classes=[0, 1])
    assert all(np.array_equal(cut.learned_[name], a) for name, a in whole.learned_.items())
    np.testing.assert_array_equal(cut.predict_proba(xs), whole.predict_proba(xs))
    backwards = OnlineSpikingClassifier(**SMALL).partial_fit(xs[::-1], ys[::-1], [0, 1])
    assert not np.array_equal(backwards.predict_proba(xs), whole.predict_proba(xs))


def test_a_copy_answers_and_goes_on_as_it_does(circles):
    xs, _, ys, _ = circles
    made = OnlineSpikingClassifier(tg.rules.eprop(), **SMALL).partial_fit(xs, ys, [0, 1])
    copy = pickle.loads(pickle.dumps(made))
    np.testing.assert_array_equal(copy.predict_proba(xs), made.predict_proba(xs))
    for one in (made, copy):
        one.partial_fit(xs, ys)
    np.testing.assert_array_equal(copy.predict_proba(xs), made.predict_proba(xs))
    with pytest.raises(NotFittedError):
        clone(made).predict(xs)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rule": "backprop"}, "rule must be a Rule or one of bptt, .* got 'backprop'"),
        ({"rule": "reward_eprop"}, "reward_eprop reads one unit for each action"),
        ({"hidden": 0}, "hidden must be at least 1, got 0"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be positive and finite, got 0.0"),
        ({"update_every": 3}, "update_every must divide steps = 10, got 3"),
        ({"learning_rate": 1e308}, "finite weights, and some are not. Lower learning_rate"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_fit(circles, settings, message):
    xs, _, ys, _ = circles
    with pytest.raises(ValueError, match=message):
        OnlineSpikingClassifier(**SMALL | settings).fit(xs, ys)


def test_wrong_classes_and_samples_are_refused_and_leave_it_as_it_was(circles):
    xs, _, ys, _ = circles
    made = OnlineSpikingClassifier(**SMALL)
    with pytest.raises(ValueError, match="classes must be given in the first call"):
        made.partial_fit(xs, ys)
    with pytest.raises(ValueError, match=r"y must be of the classes \[0\], got \[1\]"):
        made.partial_fit(xs, ys, classes=[0])
    before = made.partial_fit(xs, ys, classes=[0, 1]).predict_proba(xs)
    for samples, classes, message in [
        (xs, [0, 2], "classes must be those of the first call"),
        (xs[:, :1], None, "X has 1 features, but OnlineSpikingClassifier is expecting 2"),
        (xs * np.nan, None, "Input X contains NaN"),
    ]:
        with pytest.raises(ValueError, match=message):
            made.partial_fit(samples, ys, classes)
    with pytest.raises(ValueError, match="y must be of the classes"):
        made.partial_fit(xs, ys + 1)
    np.testing.assert_array_equal(made.predict_proba(xs), before)


def test_the_running_scale_is_that_of_all_samples_so_far():
    rng = np.random.default_rng(0)
    xs = rng.normal(1e6, [1.0, 1e-3, 0.0, 50.0], (30, 4))
    scale = RunningScale.around(xs[0])
    for part in np.split(xs, [1, 2, 17]):
        scale, followed = scale.follow(part)
    expected = StandardScaler().fit(xs).transform(xs)
    np.testing.assert_allclose(scale(xs), expected, atol=1e-5)  # 1e-3 of 1e6 has few digits
    np.testing.assert_allclose(followed[-1], expected[-1], atol=1e-5)
    assert (scale(xs)[:, 2] == 0).all()


def test_the_blocks_of_the_page_run(capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    assert blocks
    exec("\n".join(blocks), {})
    assert float(capsys.readouterr().out.split()[0]) > 0.85
