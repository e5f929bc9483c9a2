"""disturbance: how much of the machine others used while something was timed. Linux only."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

IDLE = (3, 4)  # of the columns of /proc/stat: idle, and waiting for a disk
COUNTED = 8  # user, nice, system, idle, iowait, irq, softirq, steal; guests are in user
QUIET = 0.10  # of the machine: what others use beyond this makes a time doubtful


class Disturbance:
    """Watches from when it is made; `ours` are processes besides this one that belong to the work.

    watch = Disturbance([peer.pid])
    ...
    watch.share()  # of all cores' time, what others used; None where it cannot be told
    """

    def __init__(self, ours: Iterable[int] = (), proc: Path = Path("/proc")):
        """Start now."""
        self._proc, self._pids = proc, ("self", *map(str, ours))
        self._start = self._now() if (proc / "stat").is_file() else None

    def share(self) -> float | None:
        """Since the start."""
        if self._start is None:
            return None
        busy, own, clock = (now - then for now, then in zip(self._now(), self._start, strict=True))
        cores = os.cpu_count() or 1
        return max(0.0, (busy - own) / (max(clock, 1e-9) * cores))

    def _now(self) -> tuple[float, float, float]:
        """Seconds that all cores were busy, seconds of our processes, seconds on the clock."""
        tick = os.sysconf("SC_CLK_TCK")
        columns = (self._proc / "stat").read_text().splitlines()[0].split()[1 : 1 + COUNTED]
        busy = sum(int(c) for index, c in enumerate(columns) if index not in IDLE) / tick
        return busy, sum(map(self._used, self._pids)) / tick, time.perf_counter()

    def _used(self, pid: str) -> int:
        """Ticks of a process, in its own code and the system's, its ended children included."""
        fields = (self._proc / pid / "stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15]))
