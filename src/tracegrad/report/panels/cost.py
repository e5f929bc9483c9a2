"""Cost: what the runs took, and what their rules need of a machine."""

from collections.abc import Sequence

from tracegrad.inspect import Audit
from tracegrad.report.section import Block, Section, Table
from tracegrad.report.seen import Seen
from tracegrad.run.table import size

TEXT = (
    "Measured: the median time of a step of a whole batch, and the peak memory of the compiled "
    "training step. Counted: words (numbers) and operations of one step of one sample, with an "
    "update at every step, and whom a weight change needs."
)


def cost(runs: Sequence[Seen]) -> Section:
    """What was measured and what the audit counts, a column a run; then each rule's needs."""
    audits = {run.label: run.audit for run in runs if isinstance(run.audit, Audit)}
    parts: list[Table | str] = [_measured(runs)]
    if audits:
        parts.append(_counted(audits))
    parts += [_needs(label, found) for label, found in audits.items() if found.needs]
    parts += [f"{run.label}: {run.audit}" for run in runs if isinstance(run.audit, str)]
    return Section("cost", "What it costs", TEXT, [Block("", parts)])


def _measured(runs: Sequence[Seen]) -> Table:
    done = [run.summary for run in runs]
    rows = [
        ["time of a step", *(f"{one.microseconds_per_step:.4g} us" for one in done)],
        ["memory of a training step", *(size(one.memory_bytes) for one in done)],
        ["training in all", *(f"{one.seconds:.4g} s" for one in done)],
        ["mean output of a hidden neuron", *(f"{one.rate:.2%}" for one in done)],
    ]
    return Table("Measured", ["", *(run.label for run in runs)], rows)


def _counted(audits: dict[str, Audit]) -> Table:
    found = list(audits.values())
    rows = [
        ["neurons", *(f"{one.neurons:,}" for one in found)],
        ["synapses", *(f"{one.synapses:,}" for one in found)],
        ["words of the network's state", *(f"{one.memory.state:,}" for one in found)],
        ["words that the rule carries", *(f"{one.memory.rule:,}" for one in found)],
        ["the same for each synapse", *(f"{one.words_per_synapse:.3g}" for one in found)],
        ["words kept for every step", *(f"{one.memory.kept_per_step:,}" for one in found)],
        ["operations without learning", *(f"{one.operations.forward:,}" for one in found)],
        ["operations of learning", *(f"{one.operations.learning:,}" for one in found)],
        ["every weight change is local", *("yes" if one.local else "no" for one in found)],
    ]
    return Table("Counted by the audit", ["", *audits], rows)


def _needs(label: str, found: Audit) -> Table:
    names = next(iter(found.needs.values()))._fields
    rows = [
        [kind, *("yes" if value else "" for value in (*needs, needs.local))]
        for kind, needs in found.needs.items()
    ]
    caption = f"{label}: whom a weight change of {found.rule} needs, over all time"
    return Table(caption, ["parameter", *names, "local"], rows, folded=True)
