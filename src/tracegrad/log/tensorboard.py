"""TensorBoard: event files in the run folder, which say themselves how far they go."""

import time
from importlib import import_module
from typing import Any

from tracegrad.data.extras import extra
from tracegrad.log.sink import AbstractSink
from tracegrad.run.folder import RunFolder

FOLDER = "tensorboard"  # of a run folder


class TensorBoard(AbstractSink):
    """Scalars by epoch in `RUN/tensorboard`: `tensorboard --logdir runs` shows all runs.

    An epoch is one record, which its own checksum makes whole or nothing.
    """

    def __init__(self, run: RunFolder):
        """Go on where the event files end."""
        self.folder = run.path / FOLDER
        extra("tensorboard", "Event files", "tensorboard")
        events = _part("backend.event_processing.event_file_loader")
        files = sorted(self.folder.glob("events.out.tfevents.*"))
        steps = [e.step for f in files for e in events.EventFileLoader(str(f)).Load()]
        self.done = max(steps, default=0)
        self._event = _part("compat.proto.event_pb2").Event
        self._summary = _part("compat.proto.summary_pb2").Summary
        writer = _part("summary.writer.event_file_writer")
        self._writer = writer.EventFileWriter(str(self.folder))

    def add(self, number: int, values: dict[str, float]) -> None:
        """One record, at once on disk."""
        parts = [self._summary.Value(tag=n, simple_value=v) for n, v in values.items()]
        summary = self._summary(value=parts)
        self._writer.add_event(self._event(step=number, wall_time=time.time(), summary=summary))
        self._writer.flush()
        self.done = number

    def close(self, finished: bool) -> None:
        """Close the event file."""
        self._writer.close()


def _part(name: str) -> Any:
    return import_module(f"tensorboard.{name}")
