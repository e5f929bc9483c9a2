"""Snapshot: what a run last let be seen, as plots for the page."""

from typing import Any

from tracegrad.report.panels import factors, raster
from tracegrad.report.section import Plot
from tracegrad.run.disk import stamp
from tracegrad.run.folder import RunFolder
from tracegrad.run.record_file import from_npz
from tracegrad.run.snapshot import SNAPSHOT


def plots(run: RunFolder) -> dict[str, Any]:
    """The plots `raster` and `factors`, or a sentence in place of the latter, and their sizes."""
    record = from_npz(run.path / SNAPSHOT)
    seen = record.factors
    shown = {
        "raster": _shown(raster.drawn(record, "raster")),
        "neurons": record.hidden[0].shape[1],
        "lines": record.inputs.shape[1],
    }
    if seen is None:
        return shown | {"factors": factors.NO_TRACES}
    found = _shown(factors.drawn(seen, record.dt, "factors"))
    return shown | {"factors": found, "synapse": [seen.neuron, seen.line]}


def taken_at(run: RunFolder) -> int:
    """When the snapshot was written; 0 if there is none."""
    return stamp(run.path / SNAPSHOT)


def _shown(plot: Plot) -> dict[str, Any]:
    return {"data": plot.data, "layout": plot.layout, "alt": plot.alt}
