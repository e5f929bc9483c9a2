"""Printing: equations of an explanation as text, LaTeX and Markdown."""

from collections.abc import Callable, Iterable
from typing import Any

import sympy as sp
from sympy.printing.latex import LatexPrinter
from sympy.printing.str import StrPrinter

from tracegrad.inspect.layout import Equation, Explanation, LayerExplanation, Section
from tracegrad.inspect.notation import latex_name

Terms = Callable[[Iterable[Any]], str]


class _Text(StrPrinter):
    """Sums over an index and choices as a reader says them."""

    def _print_Sum(self, expr: Any) -> str:
        return f"sum_{self._print(expr.limits[0][0])}({self._print(expr.function)})"

    def _print_Piecewise(self, expr: Any) -> str:
        *chosen, last = expr.args
        told = [f"{self._print(value)} if {self._print(when)}" for value, when in chosen]
        rest = "" if last.cond == sp.true else f" if {self._print(last.cond)}"
        return f"({', '.join(told)}, else {self._print(last.expr)}{rest})"


class _Latex(LatexPrinter):
    """Sums over an index without its range."""

    def _print_Symbol(self, expr: Any, style: str = "plain") -> str:
        return latex_name(expr)

    def _print_Sum(self, expr: Any) -> str:
        index = self._print(expr.limits[0][0])
        return rf"\sum_{{{index}}} {self._print(expr.function)}"

    def _print_AppliedUndef(self, expr: Any) -> str:
        name = latex_name(sp.Symbol(expr.func.__name__))
        inside = ", ".join(self._print(a) for a in expr.args)
        return rf"{name}\left({inside}\right)"


def _text_term(term: Any) -> str:
    return _Text({"full_prec": False}).doprint(term)


def _latex_term(term: Any) -> str:
    return _Latex({"full_prec": False}).doprint(term)


def _joined(terms: Iterable[Any], write: Callable[[Any], str]) -> str:
    """Terms in their own order, with their signs between them."""
    whole = ""
    for term in terms:
        minus = term.could_extract_minus_sign() and not term.is_Add
        written = write(-term if minus else term)
        if (term.is_Add and whole) or (minus and (-term).is_Add):
            written = f"({written})"
        whole += f" {'-' if minus else '+'} {written}"
    whole = whole.strip()
    return whole.removeprefix("+ ") if whole[:1] == "+" else whole.replace("- ", "-", 1) or "0"


def _text_equation(equation: Equation) -> str:
    line = f"{_text_term(equation.left)} = {_joined(equation.terms, _text_term)}"
    if equation.dropped:
        line += f"   [dropped: {_joined(equation.dropped, _text_term)}]"
    return line


def _latex_equation(equation: Equation) -> str:
    line = f"{_latex_term(equation.left)} &= {_joined(equation.terms, _latex_term)}"
    if equation.dropped:
        dropped = _joined(equation.dropped, _latex_term)
        line += rf"\quad[\,\text{{dropped: }} {dropped}\,]"
    return line


def _aligned(section: Section) -> list[str]:
    rows = [_latex_equation(equation) for equation in section.equations]
    return [row + r" \\" for row in rows[:-1]] + rows[-1:]


def text(explanation: Explanation) -> str:
    """Plain text, as code would write it."""
    lines = [explanation.title, *explanation.note.splitlines()]
    for layer in explanation.layers:
        lines += ["", layer.name]
        for section in layer.sections:
            lines += ["", f"  {section.title}{f': {section.note}' if section.note else ''}"]
            lines += [f"    {_text_equation(equation)}" for equation in section.equations]
    return "\n".join(lines)


def markdown(explanation: Explanation) -> str:
    """Markdown with equations in LaTeX."""
    lines = [f"# {explanation.title}", "", *explanation.note.splitlines()]
    for layer in explanation.layers:
        lines += ["", f"## {layer.name}"]
        for section in layer.sections:
            lines += ["", f"**{section.title}.** {section.note}".rstrip(), ""]
            if section.equations:
                lines += ["$$", r"\begin{aligned}", *_aligned(section), r"\end{aligned}", "$$"]
    return "\n".join(lines) + "\n"


def latex(explanation: Explanation) -> str:
    """LaTeX for a document that loads amsmath."""
    lines = [rf"\section*{{{_escape(explanation.title)}}}", _escape(explanation.note)]
    for layer in explanation.layers:
        lines.append(rf"\subsection*{{{_escape(layer.name)}}}")
        lines += _latex_sections(layer)
    return "\n".join(lines) + "\n"


def _latex_sections(layer: LayerExplanation) -> list[str]:
    lines = []
    for section in layer.sections:
        lines.append(rf"\paragraph{{{section.title}}} {_escape(section.note)}".rstrip())
        if section.equations:
            lines += [r"\begin{align*}", *_aligned(section), r"\end{align*}"]
    return lines


def _escape(words: str) -> str:
    for mark in "_&#%^":
        words = words.replace(mark, f"\\{mark}" if mark != "^" else r"\^{}")
    return words
