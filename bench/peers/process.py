"""A peer's process, asked for one training step at a time."""

import json
import os
import select
import subprocess
from pathlib import Path
from types import TracebackType

DROPPED = ("PYTHONPATH", "XLA_FLAGS")  # ours, not the peer's


class PeerError(RuntimeError):
    """A peer does not run, with its last words."""


class PeerProcess:
    """`python script mode work`; the first answer comes after the first step, compiled."""

    def __init__(self, call: list[str], log: Path, patience: float):
        """Start it; it has `patience` seconds for every answer."""
        kept = {name: value for name, value in os.environ.items() if name not in DROPPED}
        self._patience, self._log = patience, log
        with log.open("w") as words:
            self._process = subprocess.Popen(
                call,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                text=True,
                env=kept | {"JAX_PLATFORMS": "cpu"},
            )

    def __enter__(self) -> "PeerProcess":
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        with self._process:  # waits, and closes the pipes
            pass

    @property
    def pid(self) -> int:
        """Of the peer."""
        return self._process.pid

    def step(self) -> dict[str, float]:
        """What one training step took."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, float]:
        """The next answer; `PeerError` if none comes in time."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], self._patience)
        line = self._process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        if not ready:
            raise PeerError(f"no answer within {self._patience:.0f} s")
        words = self._log.read_text().strip().splitlines()
        raise PeerError(words[-1] if words else "it ended without a word")
