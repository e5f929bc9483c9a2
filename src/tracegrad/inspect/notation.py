r"""Notation: the symbols of an explanation, and how each is written in LaTeX.

A symbol is named as in code, with the neuron's own words, and `[t]` or `[t-1]` where it moves:
`v[t-1]`, `eps_v[t]`, `psi[t]`. The threshold `v_threshold` is `theta`.
"""

import re
from collections.abc import Iterable

import sympy as sp

NOW, BEFORE, AFTER = "[t]", "[t-1]", "[t+1]"
GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa",
    "lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega", "Delta",
    "Theta",
}  # fmt: skip
HEADS = {
    "theta": r"\vartheta", "eps": r"\epsilon", "ebar": r"\bar e", "gbar": r"\bar g",
    "Gbar": r"\bar G", "xhat": r"\hat x", "dot": r"\dot s", "stilde": r"\tilde s",
    "shat": r"\hat s", "Omega": r"\Omega",
}  # fmt: skip
TRACES = {  # heads of what is carried for each state, and their lower index in LaTeX
    "eps": "ij", "lambda": "i", "mu": "i", "nu": "i", "G": "", "Gbar": "", "dot": "i", "f": "i",
    "stilde": "i", "shat": "i", "K": "", "KH": "", "J": "", "C": "",
}  # fmt: skip
HIDDEN = {"v_threshold": "theta"}  # how the coefficients of a layer are called
READOUT = {"alpha": "kappa", "beta": "kappa_2"}  # and those of the readout


# i: postsynaptic neuron, j: what the synapse comes from, k: any other neuron or output.
E_NOW, E_BEFORE = sp.Symbol("e_ij[t]"), sp.Symbol("e_ij[t-1]")
EBAR_NOW, EBAR_BEFORE = sp.Symbol("ebar_ij[t]"), sp.Symbol("ebar_ij[t-1]")
SIGNAL, ETA = sp.Symbol("L_i[t]"), sp.Symbol("eta")
Z_NOW, Z_BEFORE = sp.Symbol("z[t]"), sp.Symbol("z[t-1]")
DELTA, DELTA_I = sp.Symbol("delta_k[t]"), sp.Symbol("delta_i[t]")  # dLoss/dy of an output
OTHER = sp.Symbol("G_z_k[t-1]")  # what a weight does to the output of another neuron
HERE, J, K, T = sp.symbols("i j k t")
X_J = sp.Symbol("x_j")  # what a synapse sees
OTHERS = sp.Symbol("k!=i")  # an index that leaves out i


def current(port: str, when: str = NOW) -> sp.Symbol:
    """The current of a port; a neuron with one current has the port ''."""
    return sp.Symbol(f"I_{port}{when}" if port else f"I{when}")


def at_port(head: str, port: str, index: str, when: str = "") -> sp.Symbol:
    """What there is for each port, as a weight: W_ij of a single current, else W_port_ij."""
    return sp.Symbol("_".join(word for word in (head, port, index) if word) + when)


def drive(port: str, row: str) -> sp.Symbol:
    """What the current of a port does to a state."""
    return sp.Symbol(f"D_{port}_{row}{NOW}")


def state(row: str, when: str) -> sp.Symbol:
    """A state of the neuron."""
    return sp.Symbol(f"{row}{when}")


def trace(row: str, when: str, letter: str = "eps") -> sp.Symbol:
    """The trace of a state: what a weight has done to it."""
    return sp.Symbol(f"{letter}_{row}{when}")


def coefficients(names: Iterable[str], renamed: dict[str, str]) -> dict[str, sp.Symbol]:
    """The constants of a step; a name that another one already bears stays as it is."""
    names = tuple(names)
    return {
        name: sp.Symbol(name if renamed.get(name, name) in names else renamed.get(name, name))
        for name in names
    }


def latex_name(symbol: sp.Symbol) -> str:
    r"""A symbol in LaTeX: `eps_i_syn[t-1]` is $\epsilon^{i_{\mathrm{syn}},t-1}_{ij}$."""
    found = re.fullmatch(r"(.*?)(?:\[(.*)\])?", symbol.name)
    assert found is not None  # the pattern takes every name
    if symbol == OTHERS:
        return r"k\neq i"
    base, when = found.groups()
    *words, base = base.split(" ")  # as in "Delta W_ij"
    head, _, rest = base.partition("_")
    over = [] if when is None else [when]
    if (
        head in TRACES and over and rest and not rest.isdigit()
    ):  # the trace of a state, itself a name
        under = TRACES[head]
        over.insert(0, _plain(rest))
    else:
        under = _subscript(rest)
    return (
        "".join(f"{_letter(word)} " for word in words)
        + _letter(head)
        + (f"_{{{under}}}" if under else "")
        + (f"^{{{','.join(over)}}}" if over else "")
    )


def _plain(name: str) -> str:
    head, _, rest = name.partition("_")
    return _letter(head) + (f"_{{{_subscript(rest)}}}" if rest else "")


def _letter(head: str) -> str:
    if head in HEADS:
        return HEADS[head]
    if head in GREEK:
        return f"\\{head}"
    return head if len(head) == 1 else rf"\mathrm{{{head}}}"


def _subscript(words: str) -> str:
    indices = {"ii", "ij", "ik", "ki", "iu", "ku", "uj", "md", "mb", "pm"}
    return r"\,".join(p if p in indices else _letter(p) for p in words.split("_") if p)
