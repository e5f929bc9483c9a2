"""Table of fidelity: one line a parameter."""

import math
from collections.abc import Iterable
from io import StringIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tracegrad.inspect.agreement import Agreement


def make_table(title: str, entries: Iterable[Agreement]) -> Table:
    """Agreement of every parameter; the variance only where there were several draws."""
    rows = list(entries)
    drawn = any(row.variance is not None for row in rows)
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    table.add_column("parameter", no_wrap=True)
    heads = ("cosine", "norm ratio", "sign", "bias", *(("variance",) if drawn else ()))
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        values = [
            _number(row.cosine, ".3f"),
            _number(row.norm_ratio, ".3g"),
            _number(row.sign_agreement, ".0%"),
            _number(row.bias, ".2g"),
            *([_number(row.variance, ".2g")] if drawn else []),
        ]
        table.add_row(row.name, *values)
    return table


def as_text(table: Table) -> str:
    """The table as plain text."""
    out = StringIO()
    Console(file=out, width=100, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _number(value: float | None, form: str) -> str:
    return "none" if value is None or math.isnan(value) else format(value, form)
