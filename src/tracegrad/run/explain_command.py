"""explain: `tracegrad explain RULE`, the rule that a neuron gets, in equations."""

from dataclasses import dataclass
from typing import Literal

from tracegrad.inspect import explain as explain_rule
from tracegrad.run.named_rule import rule_and_options
from tracegrad.run.user_neuron import load_neuron


@dataclass(frozen=True)
class ExplainOptions:
    """Print the learning rule that a neuron gets, in equations."""

    neuron: str = "CubaLIF"
    """Which neuron: FILE.py:Class, or one of tracegrad neurons."""
    format: Literal["text", "latex", "markdown"] = "text"
    """What to print."""


def explain(arguments: list[str]) -> None:
    """Print a rule for a neuron in equations."""
    rule, options = rule_and_options("explain", ExplainOptions(), arguments)
    told = explain_rule(load_neuron(options.neuron), rule)
    written = {"text": told.__str__, "latex": told.latex, "markdown": told.markdown}
    print(written[options.format]())
