"""Named rule: the rule that the first word of a command means, and the options behind it."""

from typing import TypeVar

from tracegrad.errors import UsageError
from tracegrad.learn.rule import Rule
from tracegrad.learn.rules import RULES
from tracegrad.run.options import parse

T = TypeVar("T")


def rule_and_options(command: str, default: T, arguments: list[str]) -> tuple[Rule, T]:
    """Rule and options of `tracegrad COMMAND RULE [options]`; `UsageError` if they are wrong."""
    known = {make.__name__: make for make in RULES}
    if not arguments or arguments[0].startswith("-"):
        parse(default, f"{command} RULE", arguments)  # for --help
        raise UsageError(
            f"{command} needs a rule: tracegrad {command} RULE, with {', '.join(known)}."
        )
    name, *rest = arguments
    if name not in known:
        raise UsageError(f"There is no rule {name}. There are {', '.join(known)}.")
    return known[name](), parse(default, f"{command} RULE", rest)
