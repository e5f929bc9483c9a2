"""Options of `tracegrad stream`, checked when made."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tracegrad.errors import UsageError
from tracegrad.run.build import Ends
from tracegrad.stream.live import Settings
from tracegrad.stream.when_full import AbstractWhenFull, Block, Coarsen, Drop

WHEN_FULL: dict[str, type[AbstractWhenFull]] = {"block": Block, "drop": Drop, "coarsen": Coarsen}
USUAL = Settings()


@dataclass(frozen=True)
class StreamOptions:
    """Learn from a live source and predict, step by step, for ever.

    RUN is the folder of a run whose network goes on learning, or a file of settings to start from.
    """

    source: str = "-"
    """- for standard input, udp://HOST:PORT, or a file: text, binary, AEDAT 2, 3, 4, DAT."""
    follow: bool = False
    """Wait for what is appended to the file."""
    polarity: bool = False
    """The network's lines are ON of every line, then OFF, and the events say which."""
    pixels: tuple[int, int] | None = None
    """Width and height of the camera; None: the usual of the format."""
    when_full: Literal["block", "drop", "coarsen"] = "block"
    """When steps come too fast: let the source wait, drop the oldest, or merge neighbours."""
    on_bad: Literal["stop", "skip"] = "stop"
    """A bad record ends the stream, or is skipped and counted."""
    queue: int = USUAL.queue
    """Steps that may wait."""
    block: int = USUAL.block
    """Steps at most that are learned from at once."""
    update_every: int | None = None
    """Steps between two updates; None: as the settings say, 10 where they say once a sequence."""
    label_window: float = USUAL.label_window
    """How far from the last event a label may be (s)."""
    longest_gap: float = USUAL.longest_gap
    """How long the network sees silence before the rest of a gap is left out (s)."""
    lines: int | None = None
    """Input lines, to start from settings alone; None: those of their task."""
    classes: int | None = None
    """Classes, to start from settings alone; None: those of their task."""
    dt: float | None = None
    """Time step (s), to start from settings alone; None: that of their task."""
    scores: bool = False
    """Print the readout of every class too."""
    save_every: float = 60.0
    """Seconds between two savings of the weights."""
    out: Path | None = None
    """Folder of the stream; None: runs/<date-time>-stream."""

    def __post_init__(self) -> None:
        """Refuse half a network, and times that are none."""
        if not 0 < self.save_every < float("inf"):
            raise UsageError(f"save_every must be positive seconds, got {self.save_every}.")
        if self.update_every is not None and self.update_every < 1:
            raise UsageError(f"update_every must be at least 1, got {self.update_every}.")
        if self.pixels is not None and min(self.pixels) < 1:
            raise UsageError(f"pixels must be a width and a height, got {self.pixels}.")
        given = [self.lines, self.classes, self.dt]
        if any(g is None for g in given) != all(g is None for g in given):
            raise UsageError("Give lines, classes and dt together, or none of them.")
        for name in ("lines", "classes", "dt"):
            if (value := getattr(self, name)) is not None and not 0 < value < float("inf"):
                raise UsageError(f"{name} must be positive, got {value}.")

    @property
    def ends(self) -> Ends | None:
        """What the network must fit, if it is said."""
        if self.lines is None or self.classes is None or self.dt is None:
            return None
        return Ends(self.lines, self.classes, self.dt)

    @property
    def settings(self) -> Settings:
        """How the stream is read and learned from."""
        return Settings(
            WHEN_FULL[self.when_full](),
            self.queue,
            self.block,
            self.label_window,
            self.longest_gap,
            self.polarity,
            self.on_bad == "stop",
        )
