"""Layout: what an explanation is made of: equations, sections and layers."""

from typing import Any, NamedTuple


class Equation(NamedTuple):
    """`left = terms - ...`, sympy expressions; `dropped` are terms that the rule leaves out."""

    left: Any
    terms: tuple[Any, ...]
    dropped: tuple[Any, ...] = ()

    @property
    def right(self) -> Any:
        """The right side that the rule computes."""
        return sum(self.terms)

    @property
    def exact(self) -> Any:
        """The right side with nothing dropped."""
        return sum(self.terms + self.dropped)


class Section(NamedTuple):
    """Equations that belong together, in the order in which they can be evaluated."""

    title: str
    equations: tuple[Equation, ...]
    note: str = ""


class LayerExplanation(NamedTuple):
    """What a rule does in layers that are alike."""

    name: str
    sections: tuple[Section, ...]

    def section(self, title: str) -> Section:
        """The section of that title; `KeyError` if there is none."""
        for section in self.sections:
            if section.title == title:
                return section
        raise KeyError(f"{self.name} has no section {title!r}, only "
                       f"{', '.join(section.title for section in self.sections)}.")  # fmt: skip


def one_line(note: str) -> str:
    """A note that was written over several lines."""
    return note.replace("\n", " ")
