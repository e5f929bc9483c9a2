"""EventNetwork: layers of current-based LIF neurons in continuous time."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tracegrad.learn.eventprop.flow import Cell
from tracegrad.model.cuba_lif import CubaLIF
from tracegrad.model.layer import Layer
from tracegrad.model.network import Network
from tracegrad.model.neuron import CURRENT
from tracegrad.model.parameter import setting
from tracegrad.model.reset import ZeroReset


class EventLayer(eqx.Module):
    r"""Current-based LIF neurons with exact spike times.

    $\tau_m\dot V=-V+I,\quad\tau_s\dot I=-I$   (1)

    Each spike of line or neuron $i$ makes $I_j$ jump by $W_{ji}$; where $V$ reaches $\vartheta$
    the neuron spikes and $V$ is set to 0. Only weights learn. `tau_mem`, `tau_syn` in seconds;
    they and `v_threshold` are one number or one for each neuron. Shapes: `weight` (n, m),
    `recurrent` (n, n).
    """

    weight: Float[Array, "n m"]
    recurrent: Float[Array, "n n"] | None = None
    tau_mem: float | tuple[float, ...] = setting(20e-3)
    tau_syn: float | tuple[float, ...] = setting(5e-3)
    v_threshold: float | tuple[float, ...] = setting(1.0)

    def __check_init__(self):
        """Refuse constants that are not positive or not one for each neuron."""
        for name in ("tau_mem", "tau_syn", "v_threshold"):
            value = np.asarray(getattr(self, name))
            if value.shape not in ((), (self.size,)) or not np.all(value > 0):
                raise ValueError(
                    f"{name} must be one positive number or {self.size} of them, "
                    f"got {getattr(self, name)}."
                )

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.weight.shape[0]


class EventNetwork(eqx.Module):
    r"""A stack of `EventLayer`s: spikes reach the next layer, and the own one, without a delay.

    Neurons are numbered through all layers. Example:

    ```python
    net = tg.eventprop.EventNetwork(
        tg.eventprop.EventLayer(jnp.asarray(w_hidden), tau_mem=20e-3, tau_syn=10e-3),
        tg.eventprop.EventLayer(jnp.asarray(w_out), tau_mem=20e-3, tau_syn=10e-3),
    )
    ```
    """

    layers: tuple[EventLayer, ...]

    def __init__(self, *layers: EventLayer):
        """Stack `layers`; refuses sizes that do not fit."""
        if not layers:
            raise ValueError("An event network needs at least one layer.")
        for below, above in zip(layers[:-1], layers[1:], strict=True):
            if below.size != above.weight.shape[1]:
                raise ValueError(
                    f"A layer of {below.size} neurons feeds one that expects "
                    f"{above.weight.shape[1]} inputs. Make the two equal."
                )
        self.layers = layers

    @property
    def inputs(self) -> int:
        """Number of input lines."""
        return self.layers[0].weight.shape[1]

    @property
    def size(self) -> int:
        """Number of neurons of all layers."""
        return sum(layer.size for layer in self.layers)

    def span(self, layer: int) -> slice:
        """The numbers of the neurons of a layer; -1 is the last."""
        ends = np.cumsum([0, *(each.size for each in self.layers)])
        index = range(len(self.layers))[layer]
        return slice(int(ends[index]), int(ends[index + 1]))

    def cell(self) -> Cell:
        """The constants of all neurons, layer after layer."""

        def all_of(name: str) -> Float[Array, " n"]:
            parts = [np.broadcast_to(getattr(each, name), each.size) for each in self.layers]
            return jnp.asarray(np.concatenate(parts), self.layers[0].weight.dtype)

        return Cell(all_of("tau_mem"), all_of("tau_syn"), all_of("v_threshold"))

    def columns(self) -> Float[Array, "m_n n"]:
        """What a spike adds to every current: a row for each line, then for each neuron."""
        rows = jnp.zeros((self.inputs + self.size, self.size), self.layers[0].weight.dtype)
        source = 0
        for index, layer in enumerate(self.layers):
            here = self.span(index)
            rows = rows.at[source : source + layer.weight.shape[1], here].set(layer.weight.T)
            source = self.inputs + here.start
            if layer.recurrent is not None:
                rows = rows.at[source : source + layer.size, here].set(layer.recurrent.T)
        return rows


def from_network(network: Network) -> EventNetwork:
    r"""The event network that the hidden layers of a `Network` tend to as its `dt` tends to 0.

    Weights, time constants and thresholds are taken over; masked autapses are zero. Refuses what
    has no such limit. The readout is left behind, as is the surrogate: losses are functions of
    spike times and potentials. Call it outside of `jit`.
    """
    return EventNetwork(*(_from_layer(layer, network.dt) for layer in network.layers))


def _from_layer(layer: Layer, dt: float) -> EventLayer:
    neuron = layer.neuron
    if not isinstance(neuron, CubaLIF):
        raise ValueError(
            f"EventProp is derived for current-based LIF neurons, got {type(neuron).__name__}. "
            "Use CubaLIF(reset=ZeroReset()), or the rule bptt, which takes any neuron."
        )
    if not isinstance(neuron.reset, ZeroReset):
        raise ValueError(
            f"EventProp sets the membrane to zero at a spike, got {type(neuron.reset).__name__}. "
            "Use CubaLIF(reset=ZeroReset())."
        )
    if not neuron.normalised:
        raise ValueError(
            "EventProp needs a membrane that does not depend on dt, got normalised=False. "
            "Use CubaLIF(normalised=True) and scale the weights."
        )
    if layer.input.biased:
        raise ValueError(
            "EventProp knows no constant current, got a connection with a bias. Use "
            "Dense(..., bias=False) and an input line that spikes once."
        )
    stage = layer.discretise(dt)
    return EventLayer(
        stage.matrix,
        None if stage.recurrent is None else stage.recurrent[CURRENT],
        tau_mem=_plain(neuron.tau_mem.value),
        tau_syn=_plain(neuron.tau_syn.value),
        v_threshold=_plain(neuron.v_threshold.value),
    )


def _plain(value: Float[Array, "*some"]) -> float | tuple[float, ...]:
    return tuple(value.tolist()) if value.ndim else float(value)
