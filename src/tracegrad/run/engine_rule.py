"""Engine rule: a derived rule as the sums of products of a learning engine, or why it is none."""

from typing import Any, NamedTuple

import numpy as np

from tracegrad.errors import UsageError
from tracegrad.inspect import explain
from tracegrad.inspect import notation as n
from tracegrad.inspect.layout import LayerExplanation
from tracegrad.inspect.synapse import InexpressibleError, Numbers, Synapse, synapse
from tracegrad.learn.rule import Rule
from tracegrad.model import Network
from tracegrad.run import engine_registers as r
from tracegrad.substrate.presets import Engine, Products
from tracegrad.substrate.sum_of_products import Filter, SumOfProducts, check


class Supplied(NamedTuple):
    """What a neuron puts in a register at every step: `gain` times `value`, where it is positive.

    One that `learns` has the learning signal in it; its gain is to be multiplied by the learning
    rate over the least significant bit of a weight.
    """

    register: str
    value: Any
    gain: float
    learns: bool

    def __str__(self) -> str:
        rate = "*eta/lsb" if self.learns else ""
        return f"{self.register} = {self.gain:.4g}{rate}*max(0, {self.value})"


class Compiled(NamedTuple):
    """A layer's rule on an engine; `lacks` says why there is none.

    `rules` are dt and dw, `filters` the traces x1 and x2, `supplied` the traces y; the tag holds
    `tag[1]` times `tag[0]`. `error` is the largest relative error of a scale.
    """

    layer: str
    rules: tuple[SumOfProducts, ...] = ()
    filters: tuple[Filter, ...] = ()
    supplied: tuple[Supplied, ...] = ()
    tag: tuple[Any, float] | None = None
    error: float = 0.0
    lacks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Layer, rules and registers, or what is lacking, as texts."""
        rules = [str(rule) for rule in self.rules]
        return {"layer": self.layer, "rules": rules, "told": self.lines(), "lacks": self.lacks}

    def lines(self) -> list[str]:
        """The rules and what their registers hold, or what stands in the way, as text."""
        if self.lacks:
            return [f"{self.layer}: no sum of products:", *(f"  {why}" for why in self.lacks)]
        told = [f"{self.layer}: sums of products, scales within {100 * self.error:.0f} %:"]
        told += [f"  {rule}" for rule in self.rules]
        for k, each in enumerate(self.filters, start=1):
            told.append(
                f"  x{k} decays by {each.decay:.4g} a step and gains {each.impulse} a spike"
            )
        if self.tag is not None:
            told.append(f"  t = {self.tag[1]:.4g}*{self.tag[0]}")
        return told + [f"  {each}" for each in self.supplied]


def compiled(network: Network, rule: Rule, engine: Engine) -> tuple[Compiled, ...]:
    """A rule's layers and readout on an engine of sums of products; about a second.

    Of the weights only: an engine changes nothing of a neuron. What arrives is a spike whatever it
    comes from, so the same sums serve input and recurrent weights.
    """
    last = len(network.layers)
    try:
        layers = explain(network, rule).layers
    except UsageError as why:
        return (Compiled("All layers", lacks=(str(why),)),)
    parts = {index: told for told in layers for index in _indices(told, last)}
    return tuple(_compiled(network, index, parts[index], engine) for index in sorted(parts))


def _indices(layer: LayerExplanation, last: int) -> list[int]:
    """The layers that an explanation is of."""
    head = layer.name.partition(":")[0]
    words = head.removeprefix("Layers").removeprefix("Layer")
    return [last] if head == "Readout" else [int(word) for word in words.split(",")]


def _compiled(network: Network, index: int, told: LayerExplanation, engine: Engine) -> Compiled:
    assert engine.products is not None  # asked of such engines alone
    name = "Readout" if index == len(network.layers) else f"Layer {index}"
    try:
        found = synapse(told, _numbers(network, index))
        lacks = (*r.crowded(found, engine.products), *r.unseen(found, engine))
        return Compiled(name, lacks=lacks) if lacks else _assigned(name, found, engine.products)
    except InexpressibleError as why:
        return Compiled(name, lacks=(f"{why}.",))


def _numbers(network: Network, index: int) -> Numbers:
    """The constants of a layer and those of the readout, by their symbols."""
    numbers: Numbers = {}
    last = len(network.layers)
    for place in {index, last}:
        neuron = (*network.layers, network.readout)[place].neuron
        values = neuron.coefficients(network.dt)
        symbols = n.coefficients(values, n.READOUT if place == last else n.HIDDEN)
        for word, value in values.items():
            several = np.unique(np.asarray(value))
            if several.size > 1:
                raise InexpressibleError(
                    f"{word} differs from neuron to neuron, and a trace has one decay"
                )
            numbers[symbols[word]] = float(several[0])
    return numbers


def _assigned(name: str, found: Synapse, engine: Products) -> Compiled:
    """A rule whose every factor is there, in the engine's registers and scales."""
    epoch = r.scheduled(found)
    free = {term.post for term in epoch.moves}
    if shared := [term.post for term in epoch.met if term.post in free]:
        raise InexpressibleError(f"{shared[0]} meets the trace without a learning signal")
    posts = r.posts((*epoch.moves, *epoch.met), engine.post_traces)
    tries = [(slope, *_moved(epoch, posts, slope)) for slope in r.SLOPES]
    slope, tag, unit = min(tries, key=lambda each: r.worst(each[1]))
    weight, gain = _changed(epoch, posts, unit)
    r.refuse_coarse((*tag, *weight))
    rules = tuple(
        SumOfProducts(variable, tuple(each.product for each in told))
        for variable, told in ((r.TAG, tag), ("w", weight))
        if told
    )
    try:
        check(rules)
    except ValueError as why:
        raise InexpressibleError(str(why).removesuffix(".")) from None
    supplied = tuple(
        Supplied(y, sign * value, slope if value in free else 1 / gain, value not in free)
        for value, pairs in posts.registers.items()
        for y, sign in pairs
    )
    filters = tuple(
        Filter(decay, int(r.SIZES[f"x{k}"])) for k, decay in enumerate(found.decays, start=1)
    )
    held = None if epoch.tag is None else (epoch.tag, unit)
    return Compiled(name, rules, filters, supplied, held, r.worst((*tag, *weight)))


def _moved(epoch: r.Epoch, posts: r.Posts, slope: float) -> tuple[list[r.Scaled], float]:
    """The products of the tag, and what it holds for 1."""
    if epoch.tag is None:
        return [], 1.0
    driven = [term for term in epoch.moves if term.register != r.TAG]
    kept = [term for term in epoch.moves if term.register == r.TAG]
    leak = sum(term.factor for term in kept if term.post == r.ONE) - 1.0
    kept = [term for term in kept if term.post != r.ONE] + [r.Term(leak, r.ONE, r.TAG)]

    def held(term: r.Term) -> float:
        return 1.0 if term.post == r.ONE else slope

    sizes = [r.SIZES[term.register] * held(term) for term in driven]
    values = [term.factor / size for term, size in zip(driven, sizes, strict=True)]
    unit = r.unit(values, sizes, r.DRIVEN)
    scales = [unit * value for value in values] + [term.factor / held(term) for term in kept]
    return _products([*driven, *kept], scales, posts), unit


def _changed(epoch: r.Epoch, posts: r.Posts, unit: float) -> tuple[list[r.Scaled], float]:
    """The products of the weight, and the learning rate for what is supplied with a gain of 1."""
    units, sizes = r.SIZES | {r.TAG: unit}, r.SIZES | {r.TAG: r.DRIVEN}
    values = [-term.factor / units[term.register] for term in epoch.met]
    gain = r.unit(values, [sizes[term.register] for term in epoch.met], r.LEARNED)
    return _products(epoch.met, [gain * value for value in values], posts), gain


def _products(terms: list[r.Term], scales: list[float], posts: r.Posts) -> list[r.Scaled]:
    """A product for each term and sign."""
    return [
        r.scaled(sign * scale, (term.register, y))
        for term, scale in zip(terms, scales, strict=True)
        for y, sign in posts.of(term.post)
    ]
