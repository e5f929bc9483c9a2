"""Fit: can a platform host a rule on a network, and if not, why; what is unknown stays unknown."""

from typing import NamedTuple

from tracegrad.substrate.check import UNKNOWN, Check, count
from tracegrad.substrate.demand import Demand
from tracegrad.substrate.placement import placed
from tracegrad.substrate.presets import Limit, Preset
from tracegrad.substrate.speed import speed
from tracegrad.substrate.widths import Needed, formats, widths

WORDS = ("weights", "state", "traces", "signal")  # of a demand, in the order of `formats`


class Fit(NamedTuple):
    """All comparisons of a demand with a platform."""

    platform: str
    checks: tuple[Check, ...]

    @property
    def fits(self) -> bool | None:
        """False if anything does not fit, None if something is unknown, True if all fits."""
        verdicts = [check.fits for check in self.checks]
        if False in verdicts:
            return False
        return None if None in verdicts else True

    def lines(self) -> list[str]:
        """The verdict and every comparison, as text."""
        words = {True: "fits", False: "does NOT fit", None: "unknown"}
        head = {
            True: f"{self.platform} can host it.",
            False: f"{self.platform} cannot host it:",
            None: f"{self.platform}: nothing that is known speaks against it; some is unknown.",
        }
        width = max(len(check.what) for check in self.checks)
        rows = [
            f"  {c.what:{width}}  needs {c.needed}, there {c.there}: {words[c.fits]}"
            + (f" [{c.source}]" if c.source else "")
            for c in self.checks
        ]
        return [head[self.fits], *rows]


def fit(demand: Demand, preset: Preset, needed: dict[str, Needed] | None = None) -> Fit:
    """Compare a demand with a platform; O(1). `needed` are bits that were measured, by kind."""
    limits = preset.limits
    counts = [
        ("input lines", demand.inputs, limits.inputs),
        ("neurons", demand.neurons, limits.neurons or _of_cores(preset)),
        ("readout units", demand.outputs, limits.outputs),
        ("synapses", demand.synapses, limits.synapses),
        ("synapses of a neuron", demand.fan_in, limits.synapses_per_neuron),
    ]
    checks = [count(*each) for each in counts]
    checks += placed(demand, preset)
    checks.append(_routes(demand, limits.routes))
    checks.append(_memory(demand, preset))
    checks += widths(demand, preset, needed)
    checks.append(speed(demand, preset))
    checks.append(_learning(demand, preset))
    if demand.not_local:
        there = preset.engine is not None and _anything(preset)
        checks.append(
            Check(
                "locality",
                f"other neurons for {', '.join(demand.not_local)}",
                "software" if there else "a synapse sees its two neurons and a broadcast",
                True if there else False,
                "",
            )
        )
    return Fit(preset.name, tuple(checks))


def _of_cores(preset: Preset) -> Limit | None:
    """Neurons of all cores, if both numbers are known."""
    cores, each = preset.limits.cores, preset.limits.neurons_per_core
    if cores is None or each is None:
        return None
    return Limit(cores.value * each.value, f"{cores.source}, {each.source}")


def _routes(demand: Demand, limit: Limit | None) -> Check:
    """One for every source are enough; sources can share one, so that fewer may do."""
    check = count("routes", demand.inputs + demand.neurons, limit)
    most = check._replace(needed=f"at most {check.needed}")
    return most if most.fits else most._replace(fits=None)


def bits_of(demand: Demand, preset: Preset) -> dict[str, int | None]:
    """Width of each kind of word, as far as it is known."""
    known = zip(WORDS, formats(demand, preset).values(), strict=True)
    return {kind: None if format is None else format.bits for kind, format in known}


def _memory(demand: Demand, preset: Preset) -> Check:
    """Bytes of all that is carried, each kind in its own width, against those of the chip."""
    limits, widths = preset.limits, bits_of(demand, preset)
    total = limits.bytes
    if total is None and limits.cores is not None and limits.bytes_per_core is not None:
        cores, each = limits.cores, limits.bytes_per_core
        total = Limit(cores.value * each.value, f"{cores.source}, {each.source}")
    kinds = {kind: words for kind, words in demand.words.items() if words}
    unknown = [kind for kind in kinds if widths[kind] is None]
    if unknown:
        there = UNKNOWN if total is None else f"{total.value:,} bytes"
        words = sum(kinds.values())
        return Check(
            "memory", f"{words:,} words ({', '.join(unknown)} of unknown width)", there, None, ""
        )
    needed = sum(words * (widths[kind] or 0) for kind, words in kinds.items()) // 8
    if total is None:
        return Check("memory", f"{needed:,} bytes", UNKNOWN, None, "")
    return Check(
        "memory", f"{needed:,} bytes", f"{total.value:,} bytes", needed <= total.value, total.source
    )


def _anything(preset: Preset) -> bool:
    sees = None if preset.engine is None else preset.engine.sees
    return sees is not None and "anything" in sees


def _learning(demand: Demand, preset: Preset) -> Check:
    """Whether there is a part that learns, and whether it sees what a weight change reads."""
    needed, engine = ", ".join(demand.reads), preset.engine
    if engine is None:
        return Check("learning reads", needed, UNKNOWN, None, "")
    if not engine.learns:
        return Check("learning reads", needed, "no learning on chip", False, engine.source)
    if engine.sees is None:
        return Check("learning reads", needed, UNKNOWN, None, engine.source)
    if _anything(preset):
        return Check("learning reads", needed, "anything, in software", True, engine.source)
    missing = [name for name in demand.reads if name not in engine.sees]
    there = ", ".join(engine.sees) + (f"; lacks {', '.join(missing)}" if missing else "")
    return Check("learning reads", needed, there, not missing, engine.source)
