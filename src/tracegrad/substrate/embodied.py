"""Embodied neurons: a neuron as the device has it, with the device's numbers and flaws.

It is a neuron like any other, so every rule, plan and instrument serves it. Values are those of the
device; derivatives are those that the rule may know.
"""

from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float

from tracegrad.model.linear import AbstractLinear, Cascade
from tracegrad.model.neuron import AbstractNeuron, Scalars
from tracegrad.model.parameter import setting
from tracegrad.model.reset import AbstractReset
from tracegrad.substrate.decays import AbstractDecays, decays_of
from tracegrad.substrate.number import Number
from tracegrad.substrate.slopes import with_held_slopes

TRUE, ALIVE = "true.", "alive"


class Body(NamedTuple):
    """What the device makes of a neuron; None: nothing.

    `states` is the format of the states, and of the coefficients that meet them (thresholds);
    `decays` is what becomes of decays, `slopes` the format of the surrogate derivative.
    """

    states: Number | None = None
    decays: AbstractDecays | None = None
    slopes: Number | None = None


def embody(
    neuron: AbstractNeuron,
    body: Body,
    true: AbstractNeuron | None = None,
    alive: Float[Array, " n"] | None = None,
) -> AbstractNeuron:
    """The neuron on the device.

    `true` has the parameters that its values come from, where the rule knows those of `neuron`
    only; `alive` is 0 for neurons whose output is always zero.
    """
    if body == Body() and true is None and alive is None:
        return neuron
    if body.slopes is not None:
        neuron = with_held_slopes(neuron, body.slopes)
        true = None if true is None else with_held_slopes(true, body.slopes)
    kind: Any = EmbodiedLinear if isinstance(neuron, AbstractLinear) else Embodied
    return kind(neuron=neuron, true=true, alive=alive, body=body)


class Embodied(AbstractNeuron):
    r"""$s'=\mathrm{hold}(\mathrm{step}_{true}(s,I)),\quad z=\mathrm{alive}\cdot
    \mathrm{output}_{true}(s')$   (1)

    Derivatives are those of the nominal neuron at the device's states; rounding, saturation and
    wrapping pass them straight through.
    """

    neuron: AbstractNeuron
    true: AbstractNeuron | None
    alive: Float[Array, " n"] | None
    body: Body = setting(Body())

    @property
    def reset(self) -> AbstractReset:  # type: ignore[override]  # that of the one inside
        """That of the neuron."""
        return self.neuron.reset

    @property
    def feedforward_ports(self) -> tuple[str, ...]:  # type: ignore[override]  # of the one inside
        """Those of the neuron."""
        return self.neuron.feedforward_ports

    @property
    def recurrent_ports(self) -> tuple[str, ...]:  # type: ignore[override]  # as above
        """Those of the neuron."""
        return self.neuron.recurrent_ports

    def coefficients(self, dt: float) -> Scalars:
        """Nominal ones, true ones under other names, and who is alive."""
        return _coefficients(self, dt)

    def init(self, c: Scalars) -> Scalars:
        """At rest, in the device's numbers."""
        return _init(self, c)

    def step(self, c: Scalars, s: Scalars, z: Array, current: Any) -> Scalars:
        """Equation (1)."""
        return _step(self, c, s, z, current)

    def output(self, c: Scalars, s: Scalars) -> Array:
        """Equation (1)."""
        return _output(self, c, s)


class EmbodiedLinear(AbstractLinear):
    """The same for units that are linear; the cascade is that of the nominal unit."""

    neuron: AbstractLinear
    true: AbstractLinear | None
    alive: Float[Array, " n"] | None
    body: Body = setting(Body())

    @property
    def reset(self) -> AbstractReset:  # type: ignore[override]  # that of the one inside
        """That of the unit."""
        return self.neuron.reset

    def cascade(self, c: Scalars) -> Cascade:
        """See `AbstractLinear`."""
        return self.neuron.cascade(_nominal(c))

    def coefficients(self, dt: float) -> Scalars:
        """As of `Embodied`."""
        return _coefficients(self, dt)

    def init(self, c: Scalars) -> Scalars:
        """As of `Embodied`."""
        return _init(self, c)

    def step(self, c: Scalars, s: Scalars, z: Array, current: Any) -> Scalars:
        """As of `Embodied`."""
        return _step(self, c, s, z, current)

    def output(self, c: Scalars, s: Scalars) -> Array:
        """As of `Embodied`."""
        return _output(self, c, s)


Either = Embodied | EmbodiedLinear


def _nominal(c: Scalars) -> Scalars:
    return {name: value for name, value in c.items() if not name.startswith((TRUE, ALIVE))}


def _true(c: Scalars) -> Scalars:
    return {name.removeprefix(TRUE): v for name, v in c.items() if name.startswith(TRUE)}


def _coefficients(one: Either, dt: float) -> Scalars:
    c = _held(one, one.neuron, dt)
    if one.true is not None:
        true = _held(one, one.true, dt)
        c = c | {TRUE + name: jax.lax.stop_gradient(value) for name, value in true.items()}
    return c if one.alive is None else c | {ALIVE: jax.lax.stop_gradient(one.alive)}


def _held(one: Either, neuron: AbstractNeuron, dt: float) -> Scalars:
    c = neuron.coefficients(dt)
    decays, states = decays_of(neuron, dt), one.body.states
    kinds = {name: one.body.decays if name in decays else states for name in c}
    return {
        name: value if (held := kinds[name]) is None else straight(held, value)
        for name, value in c.items()
    }


def _init(one: Either, c: Scalars) -> Scalars:
    return _in_format(one, (one.neuron if one.true is None else one.true).init(_seen(one, c)))


def _seen(one: Either, c: Scalars) -> Scalars:
    return _nominal(c) if one.true is None else _true(c)


def _in_format(one: Either, s: Scalars) -> Scalars:
    states = one.body.states
    return s if states is None else {name: straight(states, value) for name, value in s.items()}


def _step(one: Either, c: Scalars, s: Scalars, z: Array, current: Any) -> Scalars:
    if one.true is None:
        return _in_format(one, one.neuron.step(_nominal(c), s, z, current))
    step = _believed(one.neuron.step, one.true.step)
    return _in_format(one, step(_nominal(c), _true(c), (s, z, current)))


def _output(one: Either, c: Scalars, s: Scalars) -> Array:
    if one.true is None:
        z = one.neuron.output(_nominal(c), s)
    else:
        z = _believed(one.neuron.output, one.true.output)(_nominal(c), _true(c), (s,))
    return z * c[ALIVE] if ALIVE in c else z  # a stage keeps no arrays but coefficients


def straight(function: Any, x: Array) -> Array:
    """`function(x)` with the derivative of the identity."""

    @jax.custom_jvp
    def through(x: Array) -> Array:
        return function(x)

    @through.defjvp
    def _(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
        return through(*primals), tangents[0]

    return through(x)


def _believed(believed: Any, true: Any) -> Any:
    """The value of one function at the true coefficients, the derivative of another at nominal."""

    @jax.custom_jvp
    def run(c: Scalars, hidden: Scalars, rest: tuple) -> Any:
        return true(hidden, *rest)

    @run.defjvp
    def _(primals: tuple, tangents: tuple) -> tuple[Any, Any]:
        (c, hidden, rest), (dc, _, drest) = primals, tangents
        slope = jax.jvp(lambda c, rest: believed(c, *rest), (c, rest), (dc, drest))[1]
        return run(c, hidden, rest), slope

    return run
