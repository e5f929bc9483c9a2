"""Hosting: what an audited rule asks of a platform, and the list of platforms."""

from tracegrad.inspect.audit import Audit
from tracegrad.inspect.wiring import wiring
from tracegrad.model import Network
from tracegrad.substrate.fit import Demand, Fit, fit
from tracegrad.substrate.presets import Preset, load, names


def demand(network: Network, seen: Audit) -> Demand:
    """What a rule on a network needs, from its audit."""
    parts = (*network.layers, network.readout)
    recurrent = [
        0 if layer.recurrent is None else layer.recurrent.inputs for layer in network.layers
    ]
    fan_in = [wiring(part.input).fan_in for part in parts]
    memory = seen.memory
    return Demand(
        inputs=network.layers[0].input.inputs,
        neurons=sum(layer.input.outputs for layer in network.layers),
        outputs=network.readout.input.outputs,
        synapses=seen.synapses,
        fan_in=max(a + b for a, b in zip(fan_in, [*recurrent, 0], strict=True)),
        words={
            "weights": memory.weights + memory.feedback,
            "state": memory.state,
            "traces": memory.traces,
            "signal": memory.signal,
        },
        reads=_reads(seen),
        not_local=tuple(name for name, n in seen.needs.items() if n.layer or n.beyond or n.shared)
        or (() if seen.needs else ("every parameter, over the whole sequence",)),
    )


def _reads(seen: Audit) -> tuple[str, ...]:
    """The quantities a weight change reads, in the words of a preset's engine."""
    needs = list(seen.needs.values())
    asked = {
        "pre_trace": any(n.presynaptic for n in needs),
        "neuron_state": any(n.postsynaptic for n in needs),
        "signal": any(n.broadcast for n in needs),
        "synapse_trace": seen.memory.traces >= seen.synapses,
        "other_weights": any(n.transport for n in needs),
    }
    return tuple(name for name, there in asked.items() if there)


def hosted(network: Network, seen: Audit, name: str) -> Fit:
    """Whether a platform can host what was audited."""
    return fit(demand(network, seen), load(name))


def platforms() -> list[tuple[str, Preset]]:
    """Every preset by its name."""
    return [(name, load(name)) for name in names()]
