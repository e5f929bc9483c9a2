r"""Cells: neurons of NIR and ours, with the factors between their currents.

NIR gives differential equations, $\tau\dot v=(v_{leak}-v)+rI$; over one step of constant current
they are $v\leftarrow\alpha v+(1-\alpha)(v_{leak}+rI)$ with $\alpha=e^{-\Delta t/\tau}$ exactly,
or $\alpha=1-\Delta t/\tau$ by Euler's method. Euler's step for $\tau$ is the exact one for
$-\Delta t/\ln(1-\Delta t/\tau)$, so a choice of method is a conversion of time constants.
Resistances and input weights go into the weights, since ours have none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from tracegrad.errors import UsageError
from tracegrad.interop.chain import Named
from tracegrad.interop.described import parsed, restored
from tracegrad.interop.values import Shape, positive, rows, zero
from tracegrad.model import (
    IF,
    LI,
    LIF,
    AbstractNeuron,
    AbstractReset,
    AbstractSurrogate,
    CubaLIF,
    DoubleExponential,
    Integrator,
    Positive,
)

Row = Float64[np.ndarray, "n"]
SETTINGS = "tracegrad"  # the metadata of a node in which its settings are told
ROUNDING = 1e-14  # a factor that differs from 1 by less came from a division and its inverse
BASES = (AbstractNeuron, AbstractReset, AbstractSurrogate)


@dataclass(frozen=True)
class Method:
    """How differential equations become steps of `dt` seconds, and resets where no node tells."""

    dt: float
    euler: bool
    reset: AbstractReset

    def steps(self, of: Named, key: str, shape: Shape) -> tuple[Row, Row]:
        """Our time constant for NIR's, and what is left of a state after a step."""
        tau = positive(of, key, shape)
        if self.euler and tau.min() <= self.dt:
            raise UsageError(
                f"Node {of.name}: {key} must be longer than a step of {self.dt} s for Euler's "
                f"method, got {tau.min()} s. Use a shorter dt, or the exact step."
            )
        ours = -self.dt / np.log1p(-self.dt / tau) if self.euler else tau
        return ours, np.exp(-self.dt / ours)


class Cell(NamedTuple):
    """A neuron of ours for one of NIR, whose current is `scale` times NIR's plus `constant`."""

    neuron: AbstractNeuron
    scale: Row
    constant: Row


def cell(of: Named, shape: Shape, method: Method) -> Cell:
    """Our neuron for a neuron node of that shape; `DataError` for values that it cannot have."""
    zero(of, "v_reset", shape, "Resets here are to 0: shift its potentials.")
    made = LOADERS[of.kind](of, shape, method)
    scale = np.where(np.abs(made.scale - 1.0) < ROUNDING, 1.0, made.scale)
    return Cell(made.neuron, scale, made.constant)


def told(of: Named) -> dict[str, Any] | None:
    """The settings that tracegrad wrote into a node, if it did."""
    metadata = of.node.get("metadata") or {}
    text = metadata.get(SETTINGS) if isinstance(metadata, dict) else None
    return None if text is None else parsed(text, f"Node {of.name}: {SETTINGS}")


def shared(value: Row) -> Float64[np.ndarray, "*n"]:
    """One number where all neurons have the same."""
    return np.asarray(value[0]) if (value == value[0]).all() else value


def _positive(value: Row) -> Positive:
    """A quantity whose logarithm is taken in double precision, as that of a saved one was."""
    log = jnp.asarray(np.log(shared(value)), float)
    return eqx.tree_at(lambda p: p.log, Positive(1.0), log)


NOTHING: Mapping[str, Any] = MappingProxyType({})


def _made(of: Named, kind: Any, arrays: dict[str, Row], fresh: Mapping[str, Any] = NOTHING) -> Any:
    """The neuron: with the settings that the node tells, or with those for NIR's own equations."""
    values = {name: _positive(value) for name, value in arrays.items()}
    settings = told(of)
    if settings is None:
        return kind(**values, **fresh)
    return restored(settings, (kind, *BASES[1:]), f"Node {of.name}", values)


def _normalised(of: Named, r: Row) -> bool:
    settings = told(of)
    said = None if settings is None else settings.get("normalised")
    return said if isinstance(said, bool) else bool((r == 1).all())


def _lif(of: Named, shape: Shape, method: Method) -> Cell:
    threshold = positive(of, "v_threshold", shape)
    tau, normalised, scale, constant = _leaky(of, shape, method)
    fresh = {"reset": method.reset, "reset_first": True, "normalised": normalised}
    neuron = _made(of, LIF, {"tau_mem": tau, "v_threshold": threshold}, fresh)
    return Cell(neuron, scale, constant)


def _li(of: Named, shape: Shape, method: Method) -> Cell:
    tau, normalised, scale, constant = _leaky(of, shape, method)
    return Cell(_made(of, LI, {"tau_mem": tau}, {"normalised": normalised}), scale, constant)


def _leaky(of: Named, shape: Shape, method: Method) -> tuple[Row, bool, Row, Row]:
    tau, left = method.steps(of, "tau", shape)
    r, rest = rows(of, "r", shape), rows(of, "v_leak", shape, 0.0)
    normalised = _normalised(of, r)
    gain = np.ones_like(left) if normalised else 1.0 - left
    return tau, normalised, gain * r, gain * rest


def _cuba_lif(of: Named, shape: Shape, method: Method) -> Cell:
    tau_syn, tau_mem, scale, membrane = _cascade(of, shape, method)
    normalised = _normalised(of, rows(of, "r", shape))
    taus = {"tau_syn": tau_syn, "tau_mem": tau_mem}
    fresh = {"reset": method.reset, "reset_first": True, "normalised": normalised}
    arrays = {**taus, "v_threshold": positive(of, "v_threshold", shape)}
    factor = scale if normalised else scale * membrane
    return Cell(_made(of, CubaLIF, arrays, fresh), factor, np.zeros_like(factor))


def _cuba_li(of: Named, shape: Shape, method: Method) -> Cell:
    tau_syn, tau_mem, scale, _ = _cascade(of, shape, method)
    neuron = _made(of, DoubleExponential, {"tau_rise": tau_syn, "tau_decay": tau_mem})
    return Cell(neuron, scale, np.zeros_like(scale))


def _cascade(of: Named, shape: Shape, method: Method) -> tuple[Row, Row, Row, Row]:
    zero(of, "v_leak", shape, "A constant drive of the membrane has no place in this neuron here.")
    tau_syn, synapse = method.steps(of, "tau_syn", shape)
    tau_mem, membrane = method.steps(of, "tau_mem", shape)
    scale = rows(of, "r", shape) * rows(of, "w_in", shape, 1.0) * (1.0 - synapse)
    return tau_syn, tau_mem, scale, 1.0 - membrane


def _if(of: Named, shape: Shape, method: Method) -> Cell:
    threshold = positive(of, "v_threshold", shape)
    neuron = _made(of, IF, {"v_threshold": threshold}, {"reset": method.reset})
    return Cell(neuron, rows(of, "r", shape), np.zeros_like(threshold))


def _i(of: Named, shape: Shape, method: Method) -> Cell:
    r = rows(of, "r", shape)
    return Cell(_made(of, Integrator, {}), r, np.zeros_like(r))


LOADERS: dict[str, Callable[[Named, Shape, Method], Cell]] = {
    "LIF": _lif,
    "LI": _li,
    "CubaLIF": _cuba_lif,
    "CubaLI": _cuba_li,
    "IF": _if,
    "I": _i,
}
