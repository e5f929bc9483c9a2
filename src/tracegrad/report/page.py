"""Page: sections as one HTML file with everything in it, plotting library included."""

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template

from tracegrad.data.extras import extra
from tracegrad.report.panels.confusion import confusion
from tracegrad.report.panels.cost import cost
from tracegrad.report.panels.factors import factors
from tracegrad.report.panels.fidelity import fidelity
from tracegrad.report.panels.learning import learning
from tracegrad.report.panels.membrane import membrane
from tracegrad.report.panels.raster import raster
from tracegrad.report.panels.settings import settings
from tracegrad.report.panels.spread import spread
from tracegrad.report.section import Block, Plot, Section, Table
from tracegrad.report.seen import Seen

PANELS = (settings, learning, confusion, raster, membrane, factors, spread, fidelity, cost)


def page(runs: Sequence[Seen]) -> str:
    """The whole page. All that comes from a user is escaped, and the page forbids itself every
    script but its own two, by their hashes, and every request.
    """
    library, script = plotting_library(), text("dress.js") + text("page.js")
    sections = [panel(runs) for panel in PANELS]
    plots = {
        part.name: {"data": part.data, "layout": part.layout}
        for section in sections
        for block in section.blocks
        for part in block.parts
        if isinstance(part, Plot)
    }
    return Template(text("page.html")).substitute(
        policy=f"default-src 'none'; script-src {_hash(library)} {_hash(script)}; "
        "style-src 'unsafe-inline'; img-src data: blob:",
        title=escape(", ".join(run.label for run in runs)),
        style=text("page.css"),
        links="\n".join(f'<a href="#{s.name}">{escape(s.title)}</a>' for s in sections),
        sections="\n".join(map(_section, sections)),
        plots=in_script(plots),
        library=library,
        script=script,
    )


def in_script(value: object) -> str:
    """JSON that cannot end the script element it stands in; numbers are exact."""
    text = json.dumps(value, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def plotting_library() -> str:
    """The source of Plotly, about 5 MB; `UsageError` if it is not installed."""
    return extra("plotly.offline", "Reports", "report").get_plotlyjs()


def text(name: str) -> str:
    """A file beside this one; `dress.js` and `page.css` make every page of this library alike."""
    return files("tracegrad.report").joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _section(section: Section) -> str:
    blocks = "\n".join(_block(block) for block in section.blocks)
    return (
        f'<section id="{section.name}" aria-labelledby="{section.name}-title">\n'
        f'<h2 id="{section.name}-title">{escape(section.title)}</h2>\n'
        f"<p>{escape(section.text)}</p>\n"
        f'<div class="blocks">\n{blocks}\n</div>\n</section>'
    )


def _block(block: Block) -> str:
    title = f"<h3>{escape(block.title)}</h3>\n" if block.title else ""
    return f"<article>\n{title}" + "\n".join(_part(part) for part in block.parts) + "\n</article>"


def _part(part: Plot | Table | str) -> str:
    if isinstance(part, str):
        return f"<p>{escape(part)}</p>"
    if isinstance(part, Table):
        return (
            _folded(part) if part.folded else _table(part, f"<caption>{_caption(part)}</caption>")
        )
    return (
        f'<figure><div class="plot" id="{part.name}" tabindex="0" role="group" '
        f'aria-label="{escape(part.alt)}" style="height: {part.layout["height"]}px"></div>'
        f"<figcaption>{escape(part.alt)}</figcaption></figure>"
    )


def _folded(table: Table) -> str:
    return f"<details><summary>{_caption(table)}</summary>\n{_table(table, '')}\n</details>"


def _caption(table: Table) -> str:
    return escape(table.caption)


def _table(table: Table, caption: str) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.head)
    rows = "\n".join(_row(row, at in table.marked) for at, row in enumerate(table.rows))
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{_caption(table)}">\n<table>'
        f"{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def _row(cells: Sequence[str], marked: bool) -> str:
    first, *rest = cells
    mark = ' <span class="mark">differs</span>' if marked else ""
    shown = "".join(f"<td>{escape(cell)}</td>" for cell in rest)
    kind = ' class="differs"' if marked else ""
    return f'<tr{kind}><th scope="row">{escape(first)}{mark}</th>{shown}</tr>'
