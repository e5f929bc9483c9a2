"""Evidence accumulation: remember on which side more cues came, and tell much later."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from tracegrad.data.answer import answer_at_end
from tracegrad.data.checks import whole_steps, within
from tracegrad.data.sampler import Sampler
from tracegrad.data.task import Batch, Task
from tracegrad.errors import UsageError

LEFT, RIGHT, RECALL, NOISE = range(4)  # the groups of input lines, in this order
Rng = np.random.Generator | np.random.RandomState  # the latter for the published draws


@dataclass(frozen=True)
class Evidence:
    """Settings of the task; the defaults are those of the source.

    A sequence is `cues` slots of `spacing` silence and `cue` activity of the left or the right
    group, then `delay`, then `recall`, in which the recall group fires and the answer counts. The
    noise group fires throughout. A side is favoured at random: cues come from it with probability
    1 - `rare`. The label is 1 where more than half of the cues are right. Durations in seconds,
    rates in hertz. Source: Bellec et al. 2020, as in NEST's test suite.
    """

    group: int = 10
    cues: int = 7
    spacing: float = 0.05
    cue: float = 0.1
    delay: float = 1.05
    recall: float = 0.15
    rate: float = 40.0
    noise: float = 10.0
    rare: float = 0.3
    dt: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse settings without a clear answer or on no grid of steps."""
        if self.group < 1 or self.cues < 1 or self.cues % 2 == 0:
            raise UsageError(
                f"group must be at least 1 and cues odd, got {self.group} and {self.cues}."
            )
        whole_steps(
            self.dt, spacing=self.spacing, cue=self.cue, delay=self.delay, recall=self.recall
        )
        within(0, 1.0 / self.dt, rate=self.rate, noise=self.noise)
        within(0, 1.0, rare=self.rare)

    @property
    def lines(self) -> int:
        """Input lines: left, right, recall and noise group."""
        return 4 * self.group

    @property
    def steps(self) -> int:
        """Steps T of a sequence."""
        return self.cues * self._steps(self.spacing + self.cue) + self._steps(
            self.delay + self.recall
        )

    def sample(self, rng: Rng, batch: int) -> Batch:
        """Draw sequences: all favoured sides, then the cues of each, then T m uniforms of each.

        The loss window is `recall`, with weight 1/steps of it; O(B T m).

            batch = Evidence().sample(np.random.default_rng(0), 32)
        """
        cues = self.draw_cues(rng, batch)
        spikes = self.draw_spikes(rng, cues)
        label = (2 * cues.sum(axis=1) > self.cues).astype(int)
        return answer_at_end(spikes.transpose(1, 0, 2), label, self._steps(self.recall))

    def draw_cues(self, rng: Rng, batch: int) -> Int64[np.ndarray, "B cues"]:
        """Draw the side of every cue, 0 left or 1 right."""
        left = np.where(rng.choice([0, 1], batch) == 0, self.rare, 1 - self.rare)
        return np.array([rng.choice([0, 1], self.cues, p=[p, 1 - p]) for p in left])

    def draw_spikes(self, rng: Rng, cues: Int64[np.ndarray, "B cues"]) -> Bool[np.ndarray, "B T m"]:
        """Draw the input spikes, at most one a step and line."""
        probability = self.dt * self._rates(cues)
        return rng.random(probability.shape) < probability

    def _rates(self, cues: Int64[np.ndarray, "B cues"]) -> Float64[np.ndarray, "B T m"]:
        rates = np.zeros((len(cues), self.steps, 4, self.group))
        slot, silent = self._steps(self.spacing + self.cue), self._steps(self.spacing)
        for sequence, sides in enumerate(cues):
            for position, side in enumerate(sides):
                rates[sequence, position * slot + silent : (position + 1) * slot, side] = self.rate
        rates[:, -self._steps(self.recall) :, RECALL] = self.rate
        rates[:, :, NOISE] = self.noise
        return rates.reshape(len(cues), self.steps, self.lines)

    def _steps(self, duration: float) -> int:
        return round(duration / self.dt)


def evidence_accumulation(
    evidence: Evidence = Evidence(),
    count: int = 640,
    test_count: int = 128,
) -> Task:
    """Two classes, decided 1 to 2 s after the evidence; `count` new sequences an epoch.

    task = evidence_accumulation(Evidence(cues=3, delay=0.1))
    """
    return Task(
        name="evidence_accumulation",
        summary="2 classes: on which side did more cues come, asked a second later?",
        lines=evidence.lines,
        outputs=2,
        dt=evidence.dt,
        train=Sampler(evidence.sample, count),
        test=Sampler(evidence.sample, test_count, seed=1),
        floors={"chance": float(np.log(2.0))},
    )


def evidence_accumulation_lif(
    evidence: Evidence = Evidence(),
    count: int = 200,
    test_count: int = 128,
) -> Task:
    """The same task, for a network without adaptation, whose membranes last: LIF of 2 s.

    What holds the evidence is the membrane instead of the threshold; the settings of training are
    other ones, the draws are the same. Source: the PyTorch version of Bellec et al. 2020.

        task = evidence_accumulation_lif(Evidence(cues=3, delay=0.1))
    """
    return replace(
        evidence_accumulation(evidence, count, test_count), name="evidence_accumulation_lif"
    )
