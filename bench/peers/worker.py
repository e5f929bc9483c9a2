"""A peer's process: it takes one training step whenever it is asked to, and says what that took.

`SCRIPT MODE WORK.npz` answers in lines of JSON. What libraries print goes to stderr.
"""

import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Work(NamedTuple):
    """The arrays and constants of a workload, as `tracegrad.bench` makes them.

    Input (T, B, m), class of every sequence (B,), weights (from, to), decays a step of current,
    membrane and readout, slope of the surrogate (1 + slope |v - 1|)^-2.
    """

    xs: np.ndarray
    classes: np.ndarray
    w_in: np.ndarray
    w_rec: np.ndarray
    w_out: np.ndarray
    alpha: float
    beta: float
    kappa: float
    slope: float
    learning_rate: float

    @property
    def sizes(self) -> tuple[int, int, int, int, int]:
        """T, B, m, n and o."""
        return (*self.xs.shape, *self.w_out.shape)


Step = Callable[[], float]  # one training step; its loss


def load(path: Path) -> Work:
    """From a file of `compare.py`."""
    with np.load(path) as file:
        values = [file[name] for name in Work._fields]
    return Work(*(value if value.ndim else value.item() for value in values))


def serve(modes: Mapping[str, Callable[[Work], Step]]) -> None:
    """Build one of the modes, take a first step, then one for every line that comes."""
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**content: float) -> None:
        print(json.dumps(content), file=answers, flush=True)

    mode, path = sys.argv[1:]
    work = load(Path(path))
    before, began = _peak(), time.perf_counter()
    step = modes[mode](work)
    first = step()
    answer(loss=first, compile_s=time.perf_counter() - began)
    for _ in sys.stdin:
        began = time.perf_counter()
        step()
        answer(seconds=time.perf_counter() - began, growth_mib=_peak() - before)


def _peak() -> float:
    """The most memory this process has held, in MiB. Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
