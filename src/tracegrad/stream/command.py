"""Stream command: `tracegrad stream RUN` learns and predicts until the source or Ctrl-C ends it."""

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tracegrad.errors import UsageError
from tracegrad.run.finite import NotFiniteError
from tracegrad.run.folder import WEIGHTS, RunFolder, new_path, write
from tracegrad.run.options import parse
from tracegrad.run.weights import to_safetensors
from tracegrad.stream.kept import Kept
from tracegrad.stream.live import Live, Prediction
from tracegrad.stream.opened import open_source
from tracegrad.stream.options import StreamOptions
from tracegrad.stream.start import STREAM, begin
from tracegrad.stream.watched import Watched


def stream(arguments: list[str]) -> None:
    """Learn from a source, print a prediction a line, and leave a folder."""
    if not arguments or arguments[0].startswith("-"):
        parse(StreamOptions(), "stream RUN", arguments)  # for --help
        raise UsageError(
            "stream needs the folder of a run or a file of settings: tracegrad stream RUN."
        )
    options = parse(StreamOptions(), "stream RUN", arguments[1:])
    start = begin(Path(arguments[0]), options.ends, options.update_every)
    before = start.before
    live = Live(start.learner, before.state, open_source(options), options.settings, _tell)
    folder = RunFolder.create(options.out or new_path("stream"), start.config)
    watched = Watched(live, start, folder.path, _tell)
    keeper = _Keeper(folder, Kept(folder.path, start.config), watched)
    keeper(live)
    if before.steps:
        _tell(
            f"Going on after {before.steps} steps with all of their state; {before.lost} steps "
            "came after it was kept, and what was learned in them is lost."
        )
    _tell(f"Learning into {folder.path}; Ctrl-C ends it.")
    try:
        follow(live, keeper, options)
    finally:
        watched.end()
        _tell("\n".join(told(live, keeper.seconds)))


def follow(live: Live, keep: "_Keeper", options: StreamOptions) -> None:
    """Print every prediction; `keep` is called now and then, and at the end.

    It is where all of a learner's state can be saved: `live.state` and `live.counts` belong
    together. After a number that is not finite it is not called, so what it kept last stays.
    """
    due = time.monotonic() + options.save_every
    try:
        with stopped_by_signals(live.stop):
            for said in live:
                print(_line(said, options.scores), flush=True)
                keep.watched.after(said)
                keep.reach(live)
                if time.monotonic() > due:
                    keep(live)
                    due = time.monotonic() + options.save_every
    except NotFiniteError as error:
        error.add_note("The weights kept last are still there.")
        raise
    except BrokenPipeError:  # who read the predictions has gone, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except BaseException:
        keep(live)
        raise
    keep(live)


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM call `stop`, once: the second is what it was before."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def handle(number: int, frame: object) -> None:
        stop()
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in signals:
        signal.signal(number, handle)
    try:
        yield
    finally:
        restore()


class _Keeper:
    """Keeps weights, all of the state, and what the stream came to, in its folder."""

    def __init__(self, folder: RunFolder, kept: Kept, watched: Watched):
        self.folder, self.kept, self.watched = folder, kept, watched
        self.before = watched.start.before.steps  # of the streams that it goes on from
        self.began, self.digest = time.monotonic(), ""

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def reach(self, live: Live) -> None:
        """Note how far it came."""
        self.kept.reach(self.before + live.counts.steps_learned)

    def __call__(self, live: Live) -> None:
        """Say what the weights are and were, then write them: a kill between leaves them known."""
        steps = self.before + live.counts.steps_learned
        self.kept.save(live.state, steps, self.watched.numbers)
        weights = to_safetensors(live.state.network)
        digest = hashlib.sha256(weights).hexdigest()
        latency = live.latency.percentiles()
        content = {
            "seconds": self.seconds,
            "steps_before": self.before,
            "counts": live.counts.to_dict(),
            "latency_seconds": None if latency is None else latency._asdict(),
            "weights": digest,
            "weights_before": self.digest,
        }
        write(self.folder.path / STREAM, (json.dumps(content, indent=2) + "\n").encode())
        write(self.folder.path / WEIGHTS, weights)
        self.digest = digest


def told(live: Live, seconds: float) -> list[str]:
    """What a stream came to, in lines for people."""
    counts, latency = live.counts, live.latency.percentiles()
    lines = [
        f"Events: {counts.events}.",
        f"Labels: {counts.labels} ({counts.labels_late} learned late).",
        f"Steps: {counts.steps_learned} learned, {counts.steps_dropped} dropped, "
        f"{counts.steps_merged} merged, {counts.steps_skipped} skipped in {counts.jumps} jumps of "
        f"time; {counts.packets_lost} packets lost.",
        f"Rates: {counts.events.learned / seconds:.0f} events/s, "
        f"{counts.steps_learned / seconds:.0f} steps/s in {seconds:.1f} s.",
    ]
    if latency is not None:
        said = ", ".join(
            f"{name} {1e3 * value:.2f} ms" for name, value in latency._asdict().items()
        )
        lines.append(f"Latency of the last steps: {said}.")
    if counts.refusals:
        kinds = ", ".join(f"{number} {kind}" for kind, number in counts.refusals.items())
        lines.append(f"Refused: {kinds}.")
    if not counts.balanced:
        lines.append("These counts do not add up: please report it.")
    return lines


def _line(said: Prediction, scores: bool) -> str:
    """A prediction as JSON; what a step has not is left out."""
    content: dict[str, object] = {
        "step": said.step,
        "time": said.start,
        "class": int(said.scores.argmax()),
    }
    if said.width != 1:
        content["steps"] = said.width
    if said.label is not None:
        content |= {"label": said.label, "loss": said.loss}
    if scores:
        content["scores"] = [round(float(score), 6) for score in said.scores]
    return json.dumps(content)


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
