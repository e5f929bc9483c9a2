"""Refusals: what a device library does not have, named with the way out."""

from typing import Any

import jax

from tracegrad.errors import UsageError
from tracegrad.export.device import Device
from tracegrad.export.exact import exponent
from tracegrad.learn.filter import Kappa, NoFilter
from tracegrad.model.connection import Dense
from tracegrad.model.li import LI
from tracegrad.model.network import Network
from tracegrad.substrate.carried import RoundedSignal, RoundedTraces
from tracegrad.substrate.presets import Preset
from tracegrad.substrate.rounding import Floor, Lfsr, Nearest, Stochastic
from tracegrad.substrate.substrate import Substrate
from tracegrad.substrate.update import Accumulate, Direct

FORMATS = ("weights", "states", "decays", "slopes", "traces", "signals")


def check(device: Device) -> None:
    """`UsageError` for the first thing that has no form in C."""
    check_network(device.learner.network)
    check_substrate(device.substrate)
    rule: Any = device.learner.rule
    name = rule.name
    if not isinstance(rule.influence, RoundedTraces) or not isinstance(rule.signal, RoundedSignal):
        raise UsageError(f"{name} keeps no traces in the substrate's numbers. Choose eprop.")
    if rule.around is not None or not isinstance(rule.filter, Kappa | NoFilter):
        raise UsageError(f"{name} has a filter or an optimiser of its own. Choose eprop.")


def check_platform(preset: Preset) -> None:
    """Refuse a platform on which nothing learns, or whose sums saturate event by event."""
    engine, order = preset.engine, preset.order
    if engine is not None and not engine.learns:
        raise UsageError(
            f"{preset.name} ({preset.kind}) has no part that learns, so there is no learner to "
            "write for it. Train elsewhere, and hand the network over with tracegrad export nir."
        )
    if order is not None and order.saturation == "event":
        raise UsageError(
            f"{preset.name} saturates after every event, and the device once a step, when it has "
            'summed them. Set order.saturation = "step".'
        )


def check_network(network: Network) -> None:
    """Refuse what the library's network has not."""
    if len(network.layers) != 1:
        raise UsageError(
            f"The device has one hidden layer, got {len(network.layers)}. Train one, for example "
            "with --hidden 128."
        )
    layer, readout = network.layers[0], network.readout
    below = layer.input
    if not isinstance(below, Dense) or not isinstance(layer.recurrent, Dense | None):
        raise UsageError("The device has dense connections only. Train with those.")
    if below.bias is not None or readout.input.bias is not None:
        raise UsageError("The device has no bias. Train without --bias.")
    unit: Any = readout.neuron
    if not isinstance(unit, LI) or not unit.normalised:
        raise UsageError(
            f"The device's readout is leaky, got {type(unit).__name__}. Train with --readout leaky."
        )
    learning = zip(_leaves(network.names()), _leaves(network.learning()), strict=True)
    for name, learns in learning:
        if learns != (".neuron." not in name):
            raise UsageError(
                f"On the device all weights learn and no neuron does, but {name} "
                f"{'learns' if learns else 'is frozen'}."
            )


def _leaves(tree: Any) -> list[Any]:
    return jax.tree.leaves(tree)


def check_substrate(substrate: Substrate) -> None:
    """Refuse numbers that are not whole ones, and ways to them that the library has not."""
    missing = [name for name in FORMATS if getattr(substrate, name) is None]
    if missing:
        raise UsageError(
            f"{substrate.name} has no format for {', '.join(missing)}, so whole numbers cannot "
            "stand for them. Use mcu8, or a .toml of your own with these formats."
        )
    weights: Any = substrate.weights
    update = weights.update
    if substrate.mismatch is not None:
        raise UsageError("The device has no mismatch. Leave it out.")
    if not isinstance(update, Direct | Accumulate):
        raise UsageError(
            "Weights change directly on the device or through an accumulator, got "
            f"{type(update).__name__}. Use Direct() or Accumulate()."
        )
    exponent("the chance of a change", weights.chance)
    numbers: Any = (substrate.states, substrate.slopes, substrate.traces, substrate.signals)
    for rounding in (update.rounding, *(number.rounding for number in numbers)):
        if not isinstance(rounding, Nearest | Floor | Stochastic | Lfsr):
            raise UsageError(f"The device does not round by {type(rounding).__name__}.")
