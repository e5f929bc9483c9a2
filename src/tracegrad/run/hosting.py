"""Hosting: what an audited rule asks of a platform, and the list of platforms."""

from typing import TYPE_CHECKING

from tracegrad.data.extras import extra
from tracegrad.inspect.audit import Audit
from tracegrad.inspect.wiring import wiring
from tracegrad.learn.rule import Rule
from tracegrad.model import Layer, Network
from tracegrad.run.needed_bits import Lesson, needed_bits
from tracegrad.substrate.check import Check
from tracegrad.substrate.demand import Demand, Population
from tracegrad.substrate.fit import Fit, fit
from tracegrad.substrate.presets import Preset, load, names

if TYPE_CHECKING:
    from tracegrad.run.engine_rule import Compiled


def demand(network: Network, seen: Audit) -> Demand:
    """What a rule on a network needs, from its audit."""
    populations, memory = _populations(network), seen.memory
    return Demand(
        inputs=network.layers[0].input.inputs,
        neurons=sum(part.neurons for part in populations[:-1]),
        outputs=populations[-1].neurons,
        synapses=seen.synapses,
        fan_in=max(part.synapses for part in populations),
        words={
            "weights": memory.weights + memory.feedback,
            "state": memory.state,
            "traces": memory.traces,
            "signal": memory.signal,
        },
        reads=_reads(seen),
        not_local=tuple(name for name, n in seen.needs.items() if n.layer or n.beyond or n.shared)
        or (() if seen.needs else ("every parameter, over the whole sequence",)),
        populations=populations,
        dt=network.dt,
    )


def _populations(network: Network) -> tuple[Population, ...]:
    """Layers and readout as cores see them."""
    parts, last = (*network.layers, network.readout), len(network.layers)
    found = []
    for index, part in enumerate(parts):
        lines, fan_in = part.input.inputs, wiring(part.input).fan_in
        synapses, targets = fan_in * part.input.ports, set()
        back = part.recurrent if isinstance(part, Layer) else None
        if back is not None:
            seen = wiring(back).fan_in
            lines, fan_in, synapses = (
                lines + back.inputs,
                fan_in + seen,
                synapses + seen * back.ports,
            )
            targets.add(index)
        if index < last:
            targets |= {index + 1} | ({last} if network.readout.all_layers else set())
        neurons = part.input.outputs
        found.append(Population(neurons, lines, fan_in, synapses, tuple(sorted(targets))))
    return tuple(found)


def _reads(seen: Audit) -> tuple[str, ...]:
    """The quantities a weight change reads, in the words of a preset's engine."""
    needs = list(seen.needs.values())
    asked = {
        "pre_trace": any(n.presynaptic for n in needs),
        "neuron_state": any(n.postsynaptic for n in needs),
        "signal": any(n.broadcast for n in needs),
        "synapse_trace": seen.memory.of_synapses > 0,
        "other_weights": any(n.transport for n in needs),
    }
    return tuple(name for name, there in asked.items() if there)


def hosted(
    network: Network,
    seen: Audit,
    name: str,
    told: tuple["Compiled", ...] = (),
    lesson: Lesson | None = None,
) -> Fit:
    """Whether a platform can host what was audited; `told` is the rule as it computes it.

    Bits that are needed are measured on a `lesson`, unknown without one.
    """
    preset, asked = load(name), demand(network, seen)
    needed = None if lesson is None else needed_bits(lesson, asked, preset)
    found = fit(asked, preset, needed)
    if not told or preset.engine is None or preset.engine.products is None:
        return found
    lacking = ", ".join(each.layer for each in told if each.lacks)
    form = Check(
        "form of a change",
        "dw of every layer",
        f"sums of products; none for {lacking}" if lacking else "sums of products, below",
        not lacking,
        preset.engine.products.source,
    )
    return found._replace(checks=(*found.checks, form))


def expressed(network: Network, rule: Rule, name: str) -> tuple["Compiled", ...]:
    """The rule as the platform's engine computes it; `()` where the form of a rule is free."""
    engine = load(name).engine
    if engine is None or engine.products is None:
        return ()
    extra("sympy", "Sums of products", "explain")
    from tracegrad.run.engine_rule import compiled

    return compiled(network, rule, engine)


def platforms() -> list[tuple[str, Preset]]:
    """Every preset by its name."""
    return [(name, load(name)) for name in names()]
