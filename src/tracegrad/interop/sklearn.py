"""scikit-learn: a spiking network that learns online, as a classifier of scikit-learn."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Float, Int
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from tracegrad.errors import UsageError
from tracegrad.interop.running_scale import RunningScale
from tracegrad.learn.losses import cross_entropy
from tracegrad.learn.rule import Rule
from tracegrad.learn.rules import RULES
from tracegrad.model import LIF, Dense, Layer, Network, Readout
from tracegrad.run.flat import flatten, unflatten
from tracegrad.run.learner import Learner
from tracegrad.run.learner_state import LearnerState
from tracegrad.run.presentation import Learned, Presentation

DT = 1e-3  # seconds a step
GAIN = 0.3  # of input weights: standardised features make a neuron spike in one step of ten or so


@dataclass(eq=False, repr=False)
class OnlineSpikingClassifier(ClassifierMixin, BaseEstimator):
    r"""Recurrent LIF neurons and a leaky readout, learning sample by sample with any rule.

    Features are standardised, then held as input currents for `steps` steps of 1 ms from rest: the
    hidden neurons make the spikes. `fit` standardises by all its samples and goes over them
    `epochs` times, each time in a new order. `partial_fit` goes over its samples once, in their
    order, and standardises each by all that have come so far: a stream cut anywhere, or one that
    follows a `fit`, gives the same weights as one call.

    The probabilities are $\mathrm{softmax}(\frac1T\sum_t y^t)$. The mean cross-entropy over the
    steps is what is learned, and by convexity the log loss of these is at most that.

    `rule` is a name of `tracegrad.rules` or a `Rule`; `update_every` counts steps (None: once a
    sample) and divides `steps`; Adam has the `learning_rate`. After fitting: `classes_`,
    `n_features_in_`, `rate_` (mean output of a hidden neuron at a step during the last call, of
    `fit` the last epoch) and `learned_`, all that the learner carries as arrays by name.

        OnlineSpikingClassifier(random_state=0).fit(X, y).score(X, y)
    """

    rule: str | Rule = "eprop"
    hidden: int = 64
    steps: int = 20
    learning_rate: float = 3e-3
    update_every: int | None = None
    epochs: int = 10
    random_state: int | np.random.RandomState | None = None

    def fit(self, X: Any, y: Any) -> "OnlineSpikingClassifier":
        """Forget everything and learn from samples (samples, features) and their classes."""
        samples, given = self._checked(X, y, reset=True)
        _at_least("epochs", self.epochs, 1)
        self.classes_ = np.unique(given)
        rng = check_random_state(self.random_state)
        shower, state = self._begin(samples, rng)
        scale, _ = RunningScale.around(samples[0]).follow(samples)
        scaled, labels, rate = scale(samples), self._labels(given), 0.0
        for _ in range(self.epochs):
            order = rng.permutation(len(scaled))
            state, rate = shower.learn(state, scaled[order], labels[order])
        return self._keep(Learned(state, rate), scale)

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> "OnlineSpikingClassifier":
        """Go on learning from samples in their order; the first call needs all `classes`."""
        first = not self.__sklearn_is_fitted__()
        samples, given = self._checked(X, y, reset=first)
        self._meet(classes, first)
        labels = self._labels(given)
        if first:
            shower, state = self._begin(samples, check_random_state(self.random_state))
            before = RunningScale.around(samples[0])
        else:
            shower, state, before = *self._resumed(), self._scale
        scale, scaled = before.follow(samples)
        return self._keep(shower.learn(state, scaled, labels), scale)

    def predict(self, X: Any) -> np.ndarray:
        """The class of the largest readout, for each sample."""
        best = self._answer(X).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X: Any) -> np.ndarray:
        """The softmax of the readout's mean over the steps, in the order of `classes_`."""
        return softmax(self._answer(X), axis=1)

    def __sklearn_is_fitted__(self) -> bool:
        return "learned_" in vars(self)

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        """Samples and classes, refused in scikit-learn's own words."""
        checked: Any = validate_data(self, X, y, reset=reset, dtype=np.float64)
        samples, given = checked
        check_classification_targets(given)
        return samples, given

    def _meet(self, classes: Any, first: bool) -> None:
        """Take the classes of the first call; later ones must be the same."""
        if classes is None and first:
            raise UsageError(
                "classes must be given in the first call of partial_fit, got None. Give all that "
                "will ever come, such as np.unique(y)."
            )
        if classes is None:
            return
        known = np.unique(np.asarray(classes))
        if not first and not np.array_equal(known, self.classes_):
            raise UsageError(
                f"classes must be those of the first call, {self.classes_}, got {known}. Leave "
                "them out, or fit anew."
            )
        self.classes_ = known

    def _labels(self, given: np.ndarray) -> Int[np.ndarray, " samples"]:
        if len(odd := np.setdiff1d(given, self.classes_)):
            raise UsageError(
                f"y must be of the classes {self.classes_}, got {odd}. Give all classes in the "
                "first call of partial_fit."
            )
        return np.searchsorted(self.classes_, given)

    def _shower(self, features: int) -> Presentation:
        rule = self.rule if isinstance(self.rule, Rule) else _named(self.rule)
        layers = _Sizes(features, self.hidden, len(self.classes_))
        return _presentation(rule, layers, self.steps, self.learning_rate, self.update_every)

    def _begin(
        self, samples: np.ndarray, rng: np.random.RandomState
    ) -> tuple[Presentation, LearnerState]:
        """Drawn weights for samples such as these."""
        shower = self._shower(samples.shape[1])
        return shower, shower.init(jax.random.key(rng.randint(2**31)))

    def _resumed(self) -> tuple[Presentation, LearnerState]:
        """The state that was learned, on the device."""
        shower = self._shower(len(self._scale.shift))
        return shower, unflatten(shower.init(jax.random.key(0)), self.learned_, "learned_")

    def _keep(self, learned: Learned, scale: RunningScale) -> "OnlineSpikingClassifier":
        """What was learned, as arrays that can be copied, compared and pickled."""
        arrays = flatten(learned.state)
        if not all(np.isfinite(a).all() for a in arrays.values()):
            raise UsageError(
                "Learning must leave finite weights, and some are not. Lower learning_rate, "
                f"which is {self.learning_rate}."
            )
        self.learned_, self.rate_, self._scale = arrays, learned.rate, scale
        return self

    def _answer(self, X: Any) -> Float[np.ndarray, "samples o"]:
        check_is_fitted(self)
        samples: Any = validate_data(self, X, reset=False, dtype=np.float64)
        shower, state = self._resumed()
        return shower.answer(state, self._scale(samples))


class _Sizes(NamedTuple):
    features: int
    hidden: int
    classes: int


@lru_cache(maxsize=32)  # compiled programs: a search over parameters or folds comes back to them
def _presentation(
    rule: Rule, sizes: _Sizes, steps: int, learning_rate: float, update_every: int | None
) -> Presentation:
    """The learner of these settings, as scikit-learn asks: checked when it is fitted."""
    _at_least("hidden", sizes.hidden, 1)
    _at_least("steps", steps, 1)
    if not 0 < learning_rate < float("inf"):
        raise UsageError(f"learning_rate must be positive and finite, got {learning_rate}.")
    if update_every is not None and (update_every < 1 or steps % update_every):
        raise UsageError(
            f"update_every must divide steps = {steps}, got {update_every}. Or give None."
        )
    inputs = Dense(sizes.features, sizes.hidden, GAIN, bias=True)
    layer = Layer(inputs, LIF(), Dense(sizes.hidden, sizes.hidden, GAIN))
    readout = Readout(sizes.hidden, sizes.classes, bias=True)
    network = Network(layer, readout=readout, dt=DT).freeze("*.neuron.*")
    learner = Learner(network, rule, cross_entropy(), optax.adam(learning_rate), update_every)
    return Presentation(learner, steps)


def _named(name: str) -> Rule:
    known = {make.__name__: make for make in RULES}
    if name not in known:
        raise UsageError(f"rule must be a Rule or one of {', '.join(known)}, got {name!r}.")
    return known[name]()


def _at_least(name: str, value: int, low: int) -> None:
    if value < low:
        raise UsageError(f"{name} must be at least {low}, got {value}.")
