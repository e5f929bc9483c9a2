"""Xylo's integer step, in the order that its preset states; every number is an int32.

The bits depend on the order of events and on where sums saturate, so both are fields.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from tracegrad.model.parameter import setting
from tracegrad.substrate.fixed import Fixed
from tracegrad.substrate.presets import Preset
from tracegrad.substrate.shift import shift_decay


class IntegerState(NamedTuple):
    """Current, potential and the spikes of the last step, each (n,)."""

    i_syn: Int[Array, " n"]
    v: Int[Array, " n"]
    spikes: Int[Array, " n"]


class IntegerLayer(NamedTuple):
    """A layer in whole numbers: weights already shifted; row index postsynaptic.

    `shift_syn` and `shift_mem` are the shifts of the decays, 0 to 15.
    """

    weight: Int[Array, "n m"]
    recurrent: Int[Array, "n n"]
    shift_syn: Int[Array, " n"]
    shift_mem: Int[Array, " n"]
    threshold: Int[Array, " n"]


class IntegerStep(eqx.Module):
    r"""One step of integrate-and-fire neurons with shift decays.

    In this order: input events line by line, then recurrent events neuron by neuron (the other way
    round without `input_first`), each added on its own with saturation (`every_event`), or once for
    the whole sum; $I\leftarrow I-(I\gg d_s)$ and the loss $l=v\gg d_m$, each at least 1 if
    positive; $v\leftarrow\mathrm{sat}(v+\mathrm{sat}(I-l))$;
    $S=\min(S_{max},\lfloor v/\vartheta\rfloor)$; $v\leftarrow v-S\vartheta$. O(n (m + n)).
    The inner saturation is what xylosim 0.1.3 does: it shows where current and loss are large
    and of opposite sign.
    """

    format: Fixed = setting(Fixed(16))
    most_inputs: int = setting(15)
    most_spikes: int = setting(31)
    input_first: bool = setting(True)
    every_event: bool = setting(True)

    @staticmethod
    def of(preset: Preset) -> "IntegerStep":
        """The step of a preset that states all this; `ValueError` otherwise."""
        numbers, order, limits = preset.numbers, preset.order, preset.limits
        inputs, spikes = limits.input_events_per_step, limits.spikes_per_step
        if numbers.states is None or order is None or inputs is None or spikes is None:
            raise ValueError(
                f"{preset.name} does not state its integer step. Its file needs [numbers.states], "
                "[order] and the limits input_events_per_step and spikes_per_step."
            )
        if order.events is None or order.saturation is None:
            raise ValueError(f"{preset.name} needs order.events and order.saturation.")
        rest = ("decay_current", "decay_potential", "integrate", "fire")
        arriving = order.events[:2]
        if set(arriving) != {"input", "recurrent"} or order.events[2:] != rest:
            raise ValueError(
                f"{preset.name}: order.events must be input and recurrent, in any order, and then "
                f"{', '.join(rest)}, got {', '.join(order.events)}."
            )
        return IntegerStep(
            Fixed(numbers.states.bits),
            int(inputs.value),
            int(spikes.value),
            arriving[0] == "input",
            order.saturation == "event",
        )

    def rest(self, layer: IntegerLayer) -> IntegerState:
        """Everything at zero."""
        zero = jnp.zeros_like(layer.threshold)
        return IntegerState(zero, zero, zero)

    def __call__(
        self, layer: IntegerLayer, before: IntegerState, events: Int[Array, " m"]
    ) -> IntegerState:
        """The state after a step with `events` input events on each line."""
        inputs = (layer.weight, jnp.minimum(events, self.most_inputs))
        recurrent = (layer.recurrent, before.spikes)
        order = (inputs, recurrent) if self.input_first else (recurrent, inputs)
        current = before.i_syn
        if self.every_event:
            for part in order:
                current = self._arrive(current, *part)
        else:
            sums = [matrix @ counts for matrix, counts in order]
            current = self.format.fit(current + sums[0] + sums[1])
        current = shift_decay(current, layer.shift_syn, 1)
        lost = before.v - shift_decay(before.v, layer.shift_mem, 1)
        v = self.format.fit(before.v + self.format.fit(current - lost))
        spikes = jnp.where(v >= layer.threshold, v // layer.threshold, 0)
        spikes = jnp.minimum(spikes, self.most_spikes)
        return IntegerState(current, v - spikes * layer.threshold, spikes)

    def _arrive(self, current: Array, matrix: Array, counts: Array) -> Array:
        """Every event of every line added on its own, line by line.

        Events of one line have one sign, so that their sum saturates as they do one after the
        other: one addition a line gives the same bits.
        """

        def line(current: Array, seen: tuple[Array, Array]) -> tuple[Array, None]:
            column, count = seen
            return self.format.fit(current + column * count), None

        return jax.lax.scan(line, current, (matrix.T, counts))[0]

    def run(self, layer: IntegerLayer, events: Int[Array, "time m"]) -> IntegerState:
        """States at every step, from rest."""

        def body(state: IntegerState, now: Array) -> tuple[IntegerState, IntegerState]:
            after = self(layer, state, now)
            return after, after

        return jax.lax.scan(body, self.rest(layer), events)[1]
