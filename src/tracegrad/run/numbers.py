"""Numbers: those of a rule, its loss and its neurons that may change while a run trains."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx

from tracegrad.errors import UsageError
from tracegrad.learn.loss import Loss
from tracegrad.learn.rule import Rule
from tracegrad.model.adjustable import Number, numbers, with_number
from tracegrad.model.network import Network

LEARNING_RATE = "learning_rate"  # changes too, and is the optimiser's
NEURON, RATE = "neuron", "rate"
OF_RULE = {"influence": "influence", "filter": "filter", "signal": "signal", "optimiser": "around"}


class Parts(NamedTuple):
    """What a learner is made of, and what may change of it."""

    network: Network
    rule: Rule
    loss: Loss


def adjustable_numbers(parts: Parts) -> dict[str, Number]:
    """By name: `rate.strength`, `signal.weight_decay`, `neuron.surrogate.slope` and the like.

    Those of neurons are one for all hidden layers that have it.
    """
    roots: dict[str, Any] = {RATE: parts.loss.rate}
    roots |= {name: getattr(parts.rule, field) for name, field in OF_RULE.items()}
    found = {
        f"{root}.{path}": number
        for root, module in roots.items()
        if isinstance(module, eqx.Module)
        for path, number in numbers(module).items()
    }
    for layer in reversed(parts.network.layers):
        of_layer = numbers(layer.neuron)
        found |= {f"{NEURON}.{path}": number for path, number in of_layer.items()}
    return found


def check(known: Mapping[str, Number], name: str, value: float) -> None:
    """`UsageError` where that number may not become this value while a run trains."""
    if name not in known:
        raise UsageError(
            f"{name} stays as it was at the start: what may change decides neither shapes, nor "
            f"the plan, nor a first draw. Choose one of: {', '.join(known) or 'none'}."
        )
    if not known[name].allows(value):
        raise UsageError(
            f"{name} must be {known[name].bounds}, got {value:g}. It stays {known[name].value:g}."
        )


def adjusted(parts: Parts, values: Mapping[str, float]) -> Parts:
    """The parts with other numbers; `UsageError` where one may not be so."""
    known = adjustable_numbers(parts)
    for name, value in values.items():
        check(known, name, value)
        parts = _with(parts, name, value)
    return parts


def _with(parts: Parts, name: str, value: float) -> Parts:
    root, _, path = name.partition(".")
    if root == RATE:
        return parts._replace(loss=_within(parts.loss, RATE, path, value))
    if root == NEURON:
        layers = tuple(_layer(layer, path, value) for layer in parts.network.layers)
        network = eqx.tree_at(lambda network: network.layers, parts.network, layers)
        return parts._replace(network=network)
    return parts._replace(rule=_within(parts.rule, OF_RULE[root], path, value))


def _within(owner: Any, field: str, path: str, value: float) -> Any:
    return owner._replace(**{field: with_number(getattr(owner, field), path, value)})


def _layer(layer: Any, path: str, value: float) -> Any:
    if path not in numbers(layer.neuron):
        return layer
    changed = with_number(layer.neuron, path, value)
    return eqx.tree_at(lambda layer: layer.neuron, layer, changed)
