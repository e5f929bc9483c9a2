"""Evaluate: accuracy and loss of a network over a source."""

from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tracegrad.data import Batch
from tracegrad.learn.loss import Loss, scores, sequence_loss
from tracegrad.learn.plans.plan import Data, through_readout
from tracegrad.model import Network
from tracegrad.run.confusion import confusion


class Score(NamedTuple):
    """Sums over sequences: their loss, how many are right, how many there are, spikes and chances.

    `right` is None where targets are values, not classes, and counts shares of sequences where
    every step is an answer of its own; `confusion` has it by class (rows) and answer (columns).
    """

    total_loss: float
    right: int | float | None
    sequences: int
    spikes: float
    chances: float
    confusion: Float[np.ndarray, "o o"] | None

    def plus(self, other: "Score") -> "Score":
        """Both together."""
        mine, more = self.confusion, other.confusion
        right = None if self.right is None or other.right is None else self.right + other.right
        return Score(
            self.total_loss + other.total_loss,
            right,
            self.sequences + other.sequences,
            self.spikes + other.spikes,
            self.chances + other.chances,
            None if mine is None or more is None else mine + more,
        )

    @property
    def loss(self) -> float:
        """Mean loss of a sequence."""
        return self.total_loss / self.sequences

    @property
    def accuracy(self) -> float | None:
        """Share of sequences, or of steps that are answers of their own, that are right."""
        return None if self.right is None else self.right / self.sequences

    @property
    def rate(self) -> float:
        """Mean output of a hidden neuron at a step that exists."""
        return self.spikes / self.chances


def on_device(batch: Batch) -> Data:
    """The batch with reals in the default float type of JAX, and counts as the bytes they are."""
    return Data(
        *(jnp.asarray(a, float if np.issubdtype(a.dtype, np.floating) else a.dtype) for a in batch)
    )


def pad_steps(batch: Batch, every: int) -> Batch:
    """The batch with steps of `valid=False` and weight 0 up to a multiple of `every`."""
    missing = -batch.xs.shape[0] % every
    return Batch(*(np.pad(a, ((0, missing),) + ((0, 0),) * (a.ndim - 1)) for a in batch))


def share_right(outputs: Float[Array, "T B o"], batch: Batch | Data) -> float | None:
    r"""Labelled steps whose class has the largest readout, as a share of each sequence's, summed.

    None where targets are no classes; a sequence that fills up a batch does not count.
    """
    if batch.ys.ndim == 3:
        return None
    weight = np.where(np.asarray(batch.valid), np.asarray(batch.weight), 0.0)
    hits = np.asarray(outputs).argmax(axis=2) == np.asarray(batch.ys)
    total = weight.sum(axis=0)
    exists = total > 0
    return float(((weight * hits).sum(axis=0)[exists] / total[exists]).sum())


def count_right(loss: Loss, outputs: Float[Array, "T B o"], batch: Batch | Data) -> int | None:
    r"""Sequences whose class has the largest score, $\sum_t w^t y^t$ or the loss's own.

    None where targets are no classes.
    A sequence that fills up a batch (`valid` False throughout) does not count. The class is the
    target at the step of the largest weight.
    """
    if batch.ys.ndim == 3:
        return None
    weight = np.asarray(batch.weight)
    ys = jnp.asarray(outputs)
    decided = np.asarray(scores(loss, ys, jnp.asarray(weight, ys.dtype))).argmax(axis=1)
    label = np.asarray(batch.ys)[weight.argmax(axis=0), np.arange(weight.shape[1])]
    return int(np.sum((decided == label) & np.asarray(batch.valid).any(axis=0)))


class Evaluator:
    """Runs a network without learning; compiled once for each shape of batch.

    `Evaluator(loss)(network, task.test.batches(64, None)).accuracy`
    """

    def __init__(self, loss: Loss, stepwise: bool = False):
        """Evaluate with this loss (its rate regulariser does not count).

        With `stepwise` every labelled step is an answer of its own, as the task says.
        """
        self.loss, self.stepwise = loss, stepwise
        self._run = jax.jit(lambda network, batch: _run(loss, network, batch))

    def __call__(self, network: Network, batches: Iterable[Batch]) -> Score:
        """Sums over all batches."""
        total: Score | None = None
        for batch in batches:
            outputs, loss, spikes = self._run(network, on_device(batch))
            exists = np.asarray(batch.valid)
            neurons = sum(layer.input.outputs for layer in network.layers)
            score = Score(
                float(loss),
                self.right(outputs, batch),
                int(exists.any(axis=0).sum()),
                float(spikes),
                float(exists.sum() * neurons),
                confusion(self.loss, outputs, batch, self.stepwise),
            )
            total = score if total is None else total.plus(score)
        assert total is not None and total.sequences > 0  # a source has at least one sequence
        return total

    def right(self, outputs: Float[Array, "T B o"], batch: Batch | Data) -> int | float | None:
        """How many sequences of a batch are right, or the sum of their shares of right steps."""
        if self.stepwise:
            return share_right(outputs, batch)
        return count_right(self.loss, outputs, batch)


def _run(
    loss: Loss, network: Network, batch: Data
) -> tuple[Float[Array, "T B o"], Float[Array, ""], Float[Array, ""]]:
    """Readout, and loss and spikes summed over steps and sequences that exist."""
    assert batch.valid is not None  # a Batch always says
    outputs, _ = network(batch.xs, None, batch.valid)
    ys = batch.ys
    if loss.kernel:
        circuit = network.discretise()
        rest = circuit.stages[-1].rest(ys.shape[1])
        _, ys = through_readout(circuit, rest, ys, batch.valid)
    weight = jnp.where(batch.valid, batch.weight, 0.0)
    values = sequence_loss(loss, outputs[-1], ys, weight)
    exists = batch.valid[..., None]
    spikes = [jnp.sum(jnp.where(exists, z, 0.0)) for z in outputs[:-1]]
    return outputs[-1], jnp.sum(values), sum(spikes[1:], start=spikes[0])
