"""Broadcasts: random, adaptive and uniform feedback of the error, and the target in its place."""

from typing import Any

import sympy as sp

from tracegrad.inspect import notation as n
from tracegrad.inspect.feedback import Place, signal
from tracegrad.inspect.layout import Equation, Section
from tracegrad.inspect.signals.symmetric import OUTPUTS
from tracegrad.learn.signal import Adaptive, Random
from tracegrad.learn.signals.target import Target
from tracegrad.learn.signals.uniform import Uniform

B = sp.Symbol("B_ik")


def _broadcast(heard: Any, note: str) -> tuple[Section, ...]:
    told = Equation(n.SIGNAL, (sp.Sum(heard, (n.K, 1, OUTPUTS)),))
    return (Section("Signal", (told,), note),)


@signal.register
def _(kind: Random, place: Place, error: Any) -> tuple[Section, ...]:
    return _broadcast(B * error, "B: random feedback in place of the true weights")


@signal.register
def _(kind: Adaptive, place: Place, error: Any) -> tuple[Section, ...]:
    change, rate = sp.Symbol("Delta W_o_ki"), sp.Float(str(kind.weight_decay))
    follow = Equation(sp.Symbol("Delta B_ik"), (change, -n.ETA * rate * B))
    note = f"Delta W_o_ki: that of the readout, which also decays, by -eta*{rate:.3g}*W_o_ki"
    random = _broadcast(B * error, "B: random feedback in place of the true weights")
    return (*random, Section("Feedback", (follow,), note))


@signal.register
def _(kind: Uniform, place: Place, error: Any) -> tuple[Section, ...]:
    return _broadcast(error, "the same for every neuron: all feedback weights are 1")


@signal.register
def _(kind: Target, place: Place, error: Any) -> tuple[Section, ...]:
    target = sp.Symbol("share[t]") * B * sp.Symbol("y_target_k[t]")
    return _broadcast(
        target,
        "B: fixed random projection of the target in place of the error [dropped: the error]; "
        "y_target: the target, one-hot for classes; share: the step's loss weight over the batch",
    )
