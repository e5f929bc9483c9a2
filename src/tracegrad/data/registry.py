"""The tasks there are, by name."""

from collections.abc import Callable
from typing import NamedTuple

from tracegrad.data.datasets.braille import braille
from tracegrad.data.datasets.digits import digits
from tracegrad.data.datasets.spoken_digits import spoken_digits
from tracegrad.data.task import Task
from tracegrad.data.tasks.evidence_accumulation import evidence_accumulation
from tracegrad.data.tasks.pattern_generation import pattern_generation


class Entry(NamedTuple):
    """A task before it is built: `make()`, or `make(data)` where it reads a folder."""

    make: Callable[..., Task]
    summary: str
    needs_data: bool


TASKS = {
    "digits": Entry(digits, "1797 scans of handwritten digits, one spike a pixel", False),
    "spoken_digits": Entry(spoken_digits, "Free Spoken Digit Dataset, WAV files", True),
    "braille": Entry(braille, "tactile events of seven braille letters, npz file", True),
    "pattern_generation": Entry(pattern_generation, "frozen noise to a sum of sines", False),
    "evidence_accumulation": Entry(
        evidence_accumulation, "which side had more cues, asked a second later", False
    ),
}
