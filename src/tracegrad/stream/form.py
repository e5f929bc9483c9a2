"""Form: what the records of a stream must fit, and how they become steps."""

from typing import NamedTuple


class Form(NamedTuple):
    """`columns` of the input, `classes` of the labels, `width` of a step in microseconds.

    With `polarity` there are `columns` / 2 lines: ON of every line, then OFF. In steps: `window`,
    how far a label may be from the open step, and `gap`, how many empty steps may follow one
    another.
    """

    columns: int
    classes: int
    width: int
    polarity: bool = False
    window: int = 100
    gap: int = 1000

    @property
    def lines(self) -> int:
        """How many lines a source has."""
        return self.columns // 2 if self.polarity else self.columns
