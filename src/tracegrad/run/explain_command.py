"""explain: `tracegrad explain RULE`, the rule that a neuron gets, in equations."""

from dataclasses import dataclass
from typing import Any, Literal

from tracegrad.errors import UsageError
from tracegrad.inspect import explain as explain_rule
from tracegrad.learn.rules import RULES
from tracegrad.model import NEURONS, AbstractNeuron
from tracegrad.run.options import parse


@dataclass(frozen=True)
class ExplainOptions:
    """Print the learning rule that a neuron gets, in equations."""

    neuron: str = "CubaLIF"
    """Which neuron; see tracegrad neurons."""
    format: Literal["text", "latex", "markdown"] = "text"
    """What to print."""


def explain(arguments: list[str]) -> None:
    """Print a rule for a neuron in equations."""
    known = {make.__name__: make for make in RULES}
    if arguments and arguments[0] in ("-h", "--help"):
        parse(ExplainOptions(), "explain RULE", arguments)
    if not arguments or arguments[0].startswith("-"):
        raise UsageError(f"explain needs a rule: tracegrad explain RULE, with {', '.join(known)}.")
    name, *rest = arguments
    if name not in known:
        raise UsageError(f"There is no rule {name}. There are {', '.join(known)}.")
    options = parse(ExplainOptions(), "explain RULE", rest)
    told = explain_rule(_neuron(options.neuron), known[name]())
    written = {"text": told.__str__, "latex": told.latex, "markdown": told.markdown}
    print(written[options.format]())


def _neuron(name: str) -> AbstractNeuron:
    """The neuron of that name, with its usual parameters."""
    known: dict[str, Any] = {neuron.__name__: neuron for neuron in NEURONS}
    if name not in known:
        raise UsageError(f"There is no neuron {name}. There are {', '.join(known)}.")
    return known[name]()
