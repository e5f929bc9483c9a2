"""Printing: equations of an explanation as text, LaTeX and Markdown."""

from collections.abc import Callable, Iterable
from textwrap import wrap
from typing import Any

import sympy as sp
from sympy.printing.latex import LatexPrinter
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.str import StrPrinter

from tracegrad.inspect.layout import Equation, LayerExplanation, Section
from tracegrad.inspect.notation import latex_name

Layers = tuple[LayerExplanation, ...]
WIDTH = 100
SETTINGS = {"full_prec": False}
CARRIED = ("eps_", "e_ij", "ebar_", "x_", "G_", "lambda_", "q_", "L_")


def _rank(factor: Any) -> int:
    """Numbers, then constants, then what changes, then what is carried."""
    if factor.is_number:
        return 0
    if factor.is_Symbol and "[" not in factor.name and not factor.name.startswith(CARRIED):
        return 1
    if factor.is_Symbol:
        return 5 if factor.name.startswith(CARRIED) else 4
    return 6 if isinstance(factor, sp.Sum) else 2 if factor.is_Add else 3


def _fraction(term: Any) -> tuple[list[Any], Any]:
    """The factors over the bar, as a reader expects them, and what is under it."""
    over, under = sp.fraction(term, exact=True)
    factors = [f for f in sp.Mul.make_args(over) if f != 1]
    return sorted(factors, key=lambda f: (_rank(f), sp.default_sort_key(f))), under


def _ordered_terms(expr: Any) -> list[Any]:
    """Positive terms first, numbers last."""

    def key(term: Any) -> tuple:
        return term.could_extract_minus_sign(), term.is_number, sp.default_sort_key(term)

    return sorted(expr.args, key=key)


class _Text(StrPrinter):
    """As code writes it, with sums over an index and choices as a reader says them."""

    def _as_ordered_terms(self, expr: Any, order: Any = None) -> list[Any]:
        return _ordered_terms(expr)

    def _print_Mul(self, expr: Any) -> str:
        if expr.could_extract_minus_sign():
            return f"-{self._print(-expr)}"
        over, under = _fraction(expr)
        product = (
            "*".join(self.parenthesize(f, PRECEDENCE["Mul"], strict=True) for f in over) or "1"
        )
        if under == 1:
            return product
        return f"{product}/{self.parenthesize(under, PRECEDENCE['Pow'], strict=True)}"

    def _print_Pow(self, expr: Any, rational: bool = False) -> str:
        if expr.exp.is_number and expr.exp.is_negative:
            return f"1/{self.parenthesize(1 / expr, PRECEDENCE['Pow'], strict=True)}"
        return StrPrinter._print_Pow(self, expr, rational)

    def _print_Sum(self, expr: Any) -> str:
        inside = self._print(expr.function)
        for limit in expr.limits:
            index = self._print(limit[0])
            inside = f"sum_{index if len(index) == 1 else f'{{{index}}}'}({inside})"
        return inside


class _Latex(LatexPrinter):
    """The paper's symbols, and sums over an index without its range."""

    def _as_ordered_terms(self, expr: Any, order: Any = None) -> list[Any]:
        return _ordered_terms(expr)

    def _print_Symbol(self, expr: Any, style: str = "plain") -> str:
        return latex_name(expr)

    def _print_Mul(self, expr: Any) -> str:
        if expr.could_extract_minus_sign():
            return f"- {self._bracketed(-expr)}"
        over, under = _fraction(expr)
        carried = [f for f in over if _rank(f) > 4]
        rest = over if under == 1 else carried
        product = r"\, ".join(map(self._bracketed, rest))
        if under == 1:
            return product
        top = r"\, ".join(self._bracketed(f) for f in over if f not in carried) or "1"
        return rf"\frac{{{top}}}{{{self._print(under)}}}\, {product}".removesuffix(r"\, ")

    def _bracketed(self, expr: Any) -> str:
        plain = self._print(expr)
        return rf"\left({plain}\right)" if expr.is_Add else plain

    def _print_Sum(self, expr: Any) -> str:
        indices = [rf"\sum_{{{self._print(limit[0])}}} " for limit in reversed(expr.limits)]
        return "".join(indices) + self._bracketed(expr.function)

    def _print_where(self, expr: Any) -> str:
        condition, chosen, otherwise = map(self._print, expr.args)
        return (
            rf"\begin{{cases}} {chosen} & \text{{if }} {condition} \\ "
            rf"{otherwise} & \text{{otherwise}} \end{{cases}}"
        )

    def _print_AppliedUndef(self, expr: Any) -> str:
        name = latex_name(sp.Symbol(expr.func.__name__))
        return rf"{name}\left({', '.join(map(self._print, expr.args))}\right)"


def _text_term(term: Any) -> str:
    return _Text(SETTINGS).doprint(term)


def _latex_term(term: Any) -> str:
    return _Latex(SETTINGS).doprint(term)


def _joined(terms: Iterable[Any], write: Callable[[Any], str]) -> str:
    """Terms in their own order, with their signs between them; without terms 0."""
    whole = ""
    for term in terms:
        written = write(term)
        minus = written.startswith("-") and not term.is_Add
        if whole:
            whole += " - " if minus else " + "
            written = written.removeprefix("-").lstrip() if minus else written
        whole += written
    return whole or "0"


def _text_equation(equation: Equation) -> list[str]:
    line = f"    {_text_term(equation.left)} = {_joined(equation.terms, _text_term)}"
    if not equation.dropped:
        return [line]
    dropped = f"[dropped: {_joined(equation.dropped, _text_term)}]"
    whole = f"{line}   {dropped}"
    return [whole] if len(whole) <= WIDTH else [line, f"      {dropped}"]


def _latex_equation(equation: Equation) -> str:
    line = f"{_latex_term(equation.left)} &= {_joined(equation.terms, _latex_term)}"
    if equation.dropped:
        dropped = _joined(equation.dropped, _latex_term)
        line += rf"\quad[\,\text{{dropped: }} {dropped}\,]"
    return line


def _aligned(section: Section) -> list[str]:
    rows = [_latex_equation(equation) for equation in section.equations]
    return [row + r" \\" for row in rows[:-1]] + rows[-1:]


def _told_once(layers: Layers) -> list[LayerExplanation]:
    """Leave out the sections that an earlier layer has word for word, and say so."""
    first: dict[Section, str] = {}
    told = []
    for layer in layers:
        new = tuple(s for s in layer.sections if first.setdefault(s, layer.name) == layer.name)
        same = {first[s]: None for s in layer.sections if s not in new}  # a set that keeps order
        rest = f"; the rest as in {' and '.join(same)}" if same else ""
        told.append(LayerExplanation(layer.name + rest, new))
    return told


def text(title: str, note: str, layers: Layers) -> str:
    """Plain text, as code would write it."""
    lines = [title, *note.splitlines()]
    for layer in _told_once(layers):
        lines += ["", layer.name]
        for section in layer.sections:
            lines += ["", f"  {section.title}"]
            lines += wrap(section.note, WIDTH, initial_indent="    ", subsequent_indent="    ")
            lines += [line for equation in section.equations for line in _text_equation(equation)]
    return "\n".join(lines)


def markdown(title: str, note: str, layers: Layers) -> str:
    """Markdown with equations in LaTeX."""
    lines = [f"# {title}", "", *note.splitlines()]
    for layer in _told_once(layers):
        lines += ["", f"## {layer.name}"]
        for section in layer.sections:
            lines += ["", f"**{section.title}.** {_quoted(section.note)}".rstrip(), ""]
            if section.equations:
                lines += ["$$", r"\begin{aligned}", *_aligned(section), r"\end{aligned}", "$$"]
    return "\n".join(lines) + "\n"


def latex(title: str, note: str, layers: Layers) -> str:
    """LaTeX for a document that loads amsmath."""
    lines = [rf"\section*{{{_escape(title)}}}", _escape(note)]
    for layer in _told_once(layers):
        lines.append(rf"\subsection*{{{_escape(layer.name)}}}")
        for section in layer.sections:
            lines.append(rf"\paragraph{{{section.title}}} {_escape(section.note)}".rstrip())
            if section.equations:
                lines += [r"\begin{align*}", *_aligned(section), r"\end{align*}"]
    return "\n".join(lines) + "\n"


def _quoted(words: str) -> str:
    """A note in which names with an underscore are not taken for emphasis."""
    return words.replace("_", r"\_").replace("[", r"\[")


def _escape(words: str) -> str:
    for mark in "_&#%":
        words = words.replace(mark, f"\\{mark}")
    return words.replace("^", r"\^{}")
