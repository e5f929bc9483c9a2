"""Uses: which draw of a generator belongs to which array of traces, by its place in the tree."""

from typing import Any, NamedTuple

import jax

from tracegrad.learn.influence import Trace
from tracegrad.model.neuron import CURRENT


class Uses(NamedTuple):
    """For every macro the number of draws made before, in a step; and every draw's elements."""

    places: dict[str, int | list[int]]
    sizes: list[int]


def trace_uses(memory: Any) -> Uses:
    """The draws of a rule's traces, as `RoundedTraces` makes them: leaf after leaf."""
    hidden, readout = memory
    if not isinstance(hidden, Trace):
        (hidden, readout), _ = _numbered((hidden, readout), 0)
        places = {
            "INPUT_LINES": hidden.pre.weight[CURRENT],
            "READOUT_LINES": readout.pre.weight[CURRENT],
            "EMISSION": _only(hidden.emit),
            "DRIVE": _only(hidden.post)[CURRENT],
            "READOUT_EMISSION": _only(readout.emit),
            "READOUT_DRIVE": _only(readout.post)[CURRENT],
        }
        if hidden.pre.recurrent is not None:
            places["RECURRENT_LINES"] = hidden.pre.recurrent[CURRENT]
        return Uses(places, _sizes(memory))
    all_rows, all_taps = [part.rows for part in memory], [part.taps for part in memory]
    rows, first = _numbered(all_rows, 0)
    taps, _ = _numbered(all_taps, first)
    mine = [rows[0][name] for name in sorted(rows[0])]
    places = {
        "INPUT_ROWS": [row.weight[CURRENT] for row in mine],
        "READOUT_ROW": _only(rows[1]).weight[CURRENT],
        "INPUT_FILTERED": 0,
        "RECURRENT_FILTERED": 0,
    }
    if mine[0].recurrent is not None:
        places["RECURRENT_ROWS"] = [row.recurrent[CURRENT] for row in mine]
    for tap in taps[0].values():
        places["INPUT_FILTERED"] = tap.weight[CURRENT]
        if tap.recurrent is not None:
            places["RECURRENT_FILTERED"] = tap.recurrent[CURRENT]
    return Uses(places, _sizes((all_rows, all_taps)))


def _sizes(tree: Any) -> list[int]:
    return [leaf.size for leaf in jax.tree.leaves(tree)]


def _numbered(tree: Any, first: int) -> tuple[Any, int]:
    leaves, form = jax.tree.flatten(tree)
    return jax.tree.unflatten(form, range(first, first + len(leaves))), first + len(leaves)


def _only(rows: dict[str, Any]) -> Any:
    (value,) = rows.values()
    return value
