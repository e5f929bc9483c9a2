"""OwnError: the true weights for the layer that is read, a broadcast for those below."""

from typing import Any

from tracegrad.inspect import notation as n
from tracegrad.inspect.feedback import Place, signal
from tracegrad.inspect.layout import Equation, Section
from tracegrad.inspect.signals.symmetric import read
from tracegrad.learn.signals.own_error import OwnError


@signal.register
def _(kind: OwnError, place: Place, error: Any) -> tuple[Section, ...]:
    if place.above:
        return signal(kind.below, place, error)
    return (Section("Signal", (Equation(n.SIGNAL, read(place, error)),)),)
