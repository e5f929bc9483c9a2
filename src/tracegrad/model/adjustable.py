"""Adjustable: a fixed number that may become another while a network learns, and within what."""

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import equinox as eqx

from tracegrad.model.parameter import fixed

T = TypeVar("T")
MARK = "adjustable"  # in a field's metadata


@dataclass(frozen=True)
class Number:
    """A number, what it does, its unit, and the bounds it stays within.

    From `low`, itself included where `closed`, to below `high`; None: to any finite number.
    """

    value: float
    what: str
    unit: str
    low: float = 0.0
    high: float | None = None
    closed: bool = True

    def allows(self, value: float) -> bool:
        """Whether it lies within the bounds; no NaN and no infinity does."""
        above = value >= self.low if self.closed else value > self.low
        return above and value < (float("inf") if self.high is None else self.high)

    @property
    def bounds(self) -> str:
        """The bounds in words."""
        least = f"{'at least' if self.closed else 'above'} {self.low:g}"
        return least if self.high is None else f"{least} and below {self.high:g}"


def adjustable(
    value: float,
    what: str,
    unit: str,
    low: float = 0.0,
    high: float | None = None,
    closed: bool = True,
) -> Any:
    """Declare a field that is fixed as by `setting`, but may be another from some update on.

    Only for what decides neither shapes, nor the plan, nor what is drawn when learning starts. A
    compiled program holds it as a constant, so another value compiles another. `what` it does and
    its `unit` are told where it may be changed; the bounds are those of `Number`. Example:

    ```python
    class Gain(tg.Tanh):
        gain: float = tg.adjustable(2.0, "what a current is multiplied with", "1", closed=False)
    ```
    """
    number = Number(value, what, unit, low, high, closed)
    checked = fixed(value)
    return eqx.field(static=True, default=value, converter=checked, metadata={MARK: number})


def numbers(tree: eqx.Module) -> dict[str, Number]:
    """Every adjustable number of a module and of those within it, by its path in dots."""
    found: dict[str, Number] = {}
    for field in fields(tree):
        value = getattr(tree, field.name)
        if (declared := field.metadata.get(MARK)) is not None:
            found[field.name] = replace(declared, value=float(value))
        elif isinstance(value, eqx.Module):
            found |= {f"{field.name}.{path}": number for path, number in numbers(value).items()}
    return found


def with_number(tree: T, path: str, value: float) -> T:
    """The module with another number at a path of `numbers`."""
    name, _, rest = path.partition(".")
    inner = with_number(getattr(tree, name), rest, value) if rest else value
    changed: Any = replace(tree, **{name: inner})  # type: ignore[type-var]  # modules are dataclasses
    return changed
