"""Store and recall: hold the bit that was on when the store command came."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from tracegrad.data.answer import answers
from tracegrad.data.checks import at_least, whole_steps, within
from tracegrad.data.sampler import Sampler
from tracegrad.data.task import Batch, Task
from tracegrad.errors import UsageError

ZERO, ONE, STORE, RECALL = range(4)  # the groups of input lines, in this order


@dataclass(frozen=True)
class StoreRecall:
    """Settings of the task.

    A sequence is `slots` slots of `slot` seconds. In every slot one of two groups spikes, which
    gives a random bit, but in a recall slot neither does. While nothing is stored a slot is a store
    slot with probability `command`; while something is, a recall slot, which frees the store again.
    A group of lines of its own spikes in store slots and one in recall slots. In a recall slot the
    stored bit is the label. Sequences without a recall are drawn again. `rate` in hertz. Chance:
    log 2 nats. Source: the STORE-RECALL of Bellec et al. 2018; slots, rate and probability are the
    published ones as we know them.
    """

    group: int = 10
    slots: int = 12
    slot: float = 0.2
    command: float = 1 / 6
    rate: float = 50.0
    dt: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse settings with no recall."""
        at_least(1, group=self.group)
        at_least(2, slots=self.slots)
        whole_steps(self.dt, slot=self.slot)
        within(0.0, 1.0 / self.dt, rate=self.rate)
        if not 0 < self.command <= 1:
            raise UsageError(f"command must lie in (0, 1], got {self.command}.")

    @property
    def lines(self) -> int:
        """Input lines: bit 0, bit 1, store and recall group."""
        return 4 * self.group

    @property
    def steps(self) -> int:
        """Steps T of a sequence."""
        return self.slots * round(self.slot / self.dt)

    def plan(
        self, rng: np.random.Generator
    ) -> tuple[Bool[np.ndarray, "slots 4"], Int64[np.ndarray, "slots"]]:
        """Draw which groups spike in each slot, and the label of each (-1: none)."""
        while True:
            bits = rng.integers(0, 2, self.slots)
            commands = rng.random(self.slots) < self.command
            active, label = np.eye(4, dtype=bool)[bits], np.full(self.slots, -1)
            stored = None
            for slot in np.flatnonzero(commands):
                if stored is None:
                    stored, active[slot, STORE] = bits[slot], True
                else:
                    label[slot], stored = stored, None
                    active[slot] = np.arange(4) == RECALL
            if (label >= 0).any():
                return active, label

    def sample(self, rng: np.random.Generator, batch: int) -> Batch:
        """Draw the slots of every sequence, then T m uniforms of each."""
        active, label = zip(*(self.plan(rng) for _ in range(batch)), strict=True)
        length = round(self.slot / self.dt)
        chance = np.repeat(np.stack(active, axis=1), length, axis=0) * self.rate * self.dt
        chance = np.repeat(chance, self.group, axis=2)
        labels = np.repeat(np.stack(label, axis=1), length, axis=0)
        asked = labels >= 0
        return answers(rng.random(chance.shape) < chance, np.where(asked, labels, 0), asked)


def store_recall(
    settings: StoreRecall = StoreRecall(), count: int = 320, test_count: int = 128
) -> Task:
    """Two classes in every recall slot; `count` new sequences an epoch.

    task = store_recall(StoreRecall(slots=4, slot=0.1))
    """
    return Task(
        name="store_recall",
        summary="2 classes: which bit was on when the store command came?",
        lines=settings.lines,
        outputs=2,
        dt=settings.dt,
        train=Sampler(settings.sample, count),
        test=Sampler(settings.sample, test_count, seed=1),
        floors={"chance": float(np.log(2.0))},
        stepwise=True,
    )
