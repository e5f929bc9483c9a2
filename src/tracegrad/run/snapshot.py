"""Snapshot: what the network makes of the batch of now, while somebody looks."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tracegrad.learn.loss import Loss
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.rule import Rule
from tracegrad.run.control import wanted
from tracegrad.run.disk import replace, stamp
from tracegrad.run.keeper import complain
from tracegrad.run.record import Record, Recorder
from tracegrad.run.record_file import to_npz
from tracegrad.run.train import Look

SNAPSHOT, LOOKING = "snapshot.npz", "looking"
EVERY = 1.0  # seconds between two snapshots, or more:
SHARE = 0.01  # of the time at most goes into them
FRESH = 3.0  # seconds for which one who looked counts as looking


class Snapshots:
    """Asked after every batch; seldom, and only while somebody looks, it records and writes one.

    Somebody looks who touches the file `looking` of the run's folder. The first time, and when the
    rule is another, a program is compiled, which takes some seconds once; from then on snapshots
    keep to their share.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None] = complain):
        """Nothing is compiled or written before somebody looks."""
        self.folder, self.warn = folder, warn
        self.due = 0.0
        self.recorder: Recorder | None = None
        self.learns: tuple[Rule, Loss] | None = None

    def after(self, look: Look) -> None:
        """One look at the clock or, when a snapshot is due, one `stat`."""
        if not self.wanted:
            return
        learns = look.learner.rule, look.learner.loss
        if self.recorder is None or self.learns != learns:
            self.recorder, self.learns = Recorder(*learns), learns
            self._taken(self.recorder, look)
        began = time.monotonic()
        try:
            replace(self.folder / SNAPSHOT, to_npz(self._taken(self.recorder, look)))
        except OSError as error:
            self.warn(f"{self.folder}: no snapshot can be written: {error.strerror}.")
        self.due = began + max(EVERY, (time.monotonic() - began) / SHARE)

    @property
    def wanted(self) -> bool:
        """Whether one is due and somebody looks."""
        if time.monotonic() < self.due:
            return False
        return time.time() - 1e-9 * stamp(self.folder / LOOKING) < FRESH

    def _taken(self, recorder: Recorder, look: Look) -> Record:
        """The first sequence of the batch, under the weights after it."""
        state, batch = look.state, look.batch
        synapse = _there(wanted(self.folder).synapse, look)
        deployed = state._replace(network=look.learner.deployed(state))
        exists = np.ones(len(batch.xs), bool)
        if batch.valid is not None:
            exists = np.asarray(batch.valid[:, 0])
        one = Data(batch.xs[:, :1], batch.ys[:, :1], batch.weight[:, :1], None)
        weight = jnp.where(exists[:, None], one.weight, 0.0)
        seen = recorder(deployed, one._replace(weight=weight), synapse)
        return _cut(seen, int(exists.sum()))


def _there(synapse: list[int] | None, look: Look) -> tuple[int, int] | None:
    """The synapse that is wanted, if the network has it."""
    if synapse is None:
        return None
    neuron, line = synapse
    first = look.learner.network.layers[0].input
    return (neuron, line) if neuron < first.outputs and line < first.inputs else None


def _cut(seen: Record, steps: int) -> Record:
    """Without the padding: every array of a record has time as its first axis."""

    def cut(value: Any) -> Any:
        return value[:steps] if isinstance(value, np.ndarray) and value.ndim else value

    return jax.tree.map(cut, seen)
