"""Substrate: what the numbers are, and what becomes of them on the way to and from the memory."""

from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import optax
from jaxtyping import PRNGKeyArray, PyTree

from tracegrad.learn.graph import Graph, Horizon
from tracegrad.learn.influences.rewarded import Rewarded
from tracegrad.learn.plans.chunked_sgd import ChunkedSGD
from tracegrad.learn.plans.plan import AbstractPlan
from tracegrad.learn.plans.step import Step
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import Feedback
from tracegrad.model.network import Network
from tracegrad.model.neuron import AbstractNeuron
from tracegrad.model.parameter import setting
from tracegrad.substrate.carried import RoundedSignal, RoundedTraces
from tracegrad.substrate.decays import AbstractDecays
from tracegrad.substrate.embodied import Body, embody
from tracegrad.substrate.mismatch import Mismatch
from tracegrad.substrate.number import Number
from tracegrad.substrate.weights import Weights


class Placed(NamedTuple):
    """What a substrate remembers of the network that lies on it; `()` where it needs nothing.

    `weights` is the memory's state, `device` the deviations of the device.
    """

    weights: Any = ()
    device: Any = ()


class Substrate(eqx.Module):
    r"""A pair: `read`, from what is stored to what computes, and `write`, from what is stored and a
    wished change to what is stored next.

    Around it the formats of states, decays and surrogate slopes (of every neuron), of a rule's
    traces and of its signals. What is None is ideal; a substrate of Nones changes no bit. Every
    gradient passes straight through rounding and saturation. Example:

    ```python
    eight = Substrate("eight", Weights(Fixed(8)), states=Number(Fixed(16, 10)))
    learner = tg.Learner(net, tg.rules.eprop(), loss, optax.sgd(0.1), update_every=1).on(eight)
    ```
    """

    name: str = setting("ideal")
    weights: Weights | None = setting(None)
    states: Number | None = setting(None)
    decays: AbstractDecays | None = setting(None)
    traces: Number | None = setting(None)
    signals: Number | None = setting(None)
    signal_threshold: float = setting(0.0)
    mismatch: Mismatch | None = setting(None)
    slopes: Number | None = setting(None)

    def __check_init__(self):
        """Refuse a threshold below 0, and states that would need a generator of their own."""
        if self.signal_threshold < 0:
            raise ValueError(
                f"{self.name}: signal_threshold must be at least 0, got {self.signal_threshold}."
            )
        for name, number in {"states": self.states, "slopes": self.slopes}.items():
            if number is not None and number.draws:
                raise ValueError(
                    f"{self.name}: {name} are rounded by Nearest() or Floor(), got "
                    f"{type(number.rounding).__name__}. Traces, signals and weights may draw."
                )

    @property
    def body(self) -> Body:
        """What it makes of every neuron."""
        return Body(self.states, self.decays, self.slopes)

    @property
    def ideal(self) -> bool:
        """Whether it changes nothing."""
        return self == replace(IDEAL, name=self.name)

    @property
    def plain(self) -> bool:
        """Whether neurons are the ideal ones."""
        return self.body == Body() and (self.mismatch is None or not self.mismatch.neurons)

    def rule(self, rule: Rule) -> Rule:
        """The rule with traces and signals in the substrate's formats."""
        signal = rule.signal
        if self.signals is not None or self.signal_threshold:
            signal = RoundedSignal(signal, self.signals, self.signal_threshold)
        if self.traces is None:
            return rule._replace(signal=signal)
        if isinstance(rule.influence, Graph | Horizon | Rewarded):
            raise ValueError(
                f"{self.name} holds traces in {self.traces.format.bits} bits, and {rule.name} "
                "keeps a graph or products of its own in place of traces. Choose an online rule, "
                "or a substrate without a format for traces."
            )
        return rule._replace(influence=RoundedTraces(rule.influence, self.traces), signal=signal)

    def place(
        self, network: Network, feedback: Feedback, key: PRNGKeyArray
    ) -> tuple[Network, Feedback, Placed]:
        """Network and feedback weights as they are first stored."""
        device = () if self.mismatch is None else self.mismatch.draw(network)
        if self.weights is None:
            return network, feedback, Placed((), device)
        (network, feedback), stored = self.weights.store((network, feedback), key)
        return network, feedback, Placed(stored, device)

    def read(self, network: Network, placed: Placed) -> Network:
        """The network that computes, from the one that is stored; differentiable."""
        seen = network
        if self.mismatch is not None:
            seen = self.mismatch.read(network, placed.device)
        if self.plain:
            return seen
        stages = (*seen.layers, seen.readout)
        neurons = tuple(self._neuron(network, index, placed) for index in range(len(stages)))
        return eqx.tree_at(
            lambda n: tuple(stage.neuron for stage in (*n.layers, n.readout)), seen, neurons
        )

    def _neuron(self, network: Network, index: int, placed: Placed) -> AbstractNeuron:
        """The neuron of a stage on the device."""
        neuron = (*network.layers, network.readout)[index].neuron
        mismatch = self.mismatch
        if mismatch is None or not mismatch.neurons:
            return embody(neuron, self.body)
        true = mismatch.true(network, index, placed.device)
        alive = placed.device.alive[index] if mismatch.dead_neurons else None
        if mismatch.known:
            return embody(true, self.body, None, alive)
        return embody(neuron, self.body, true, alive)

    def age(self, placed: Placed, steps: int, dt: float) -> Placed:
        """What is remembered after some steps have passed on the device."""
        if self.mismatch is None:
            return placed
        return placed._replace(device=self.mismatch.age(placed.device, steps, dt))

    def write(self, stored: PyTree, changes: PyTree, placed: Placed) -> tuple[PyTree, Placed]:
        """What is stored after a wished change, for a tree of parameters that learn."""
        if self.weights is None:
            return optax.apply_updates(stored, changes), placed
        after, weights = self.weights.change(stored, changes, placed.weights)
        return after, placed._replace(weights=weights)


IDEAL = Substrate()


def move(plan: AbstractPlan, rule: Rule, substrate: Substrate) -> AbstractPlan:
    """A plan that was asked for, with the rule as it is on the substrate; refused if illegal."""
    steps = isinstance(plan, Step) and not plan.common
    if isinstance(plan, ChunkedSGD) and not substrate.ideal:
        raise ValueError(
            f"{substrate.name} reads and writes weights at every step, and ChunkedSGD touches them "
            "once a chunk. Leave the plan out, or use Step()."
        )
    if substrate.traces is not None and not steps:
        raise ValueError(
            f"{substrate.name} rounds traces at every step, which needs the plan Step without "
            f"common traces, got {type(plan).__name__}. Leave the plan out, or use Step()."
        )
    if rule.signal.remembers and not steps:
        raise ValueError(
            f"{substrate.name} draws for every signal, which needs the plan Step, got "
            f"{type(plan).__name__}. Leave the plan out, or use Step()."
        )
    return replace(plan, rule=rule)
