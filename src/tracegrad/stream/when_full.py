"""When full: what is done with steps that come faster than they are learned from."""

from abc import ABC, abstractmethod
from collections import deque

import numpy as np

from tracegrad.stream.bins import NO_LABEL, Step
from tracegrad.stream.counts import Counts


class AbstractWhenFull(ABC):
    """Makes room in a full queue."""

    @abstractmethod
    def relieve(self, steps: deque[Step], counts: Counts) -> bool:
        """Take steps away and count them; False: there is no room, the source must wait."""


class Block(AbstractWhenFull):
    """The source waits. Nothing is lost here; what cannot wait (a camera, UDP) loses it outside."""

    def relieve(self, steps: deque[Step], counts: Counts) -> bool:
        """Never makes room."""
        return False


class Drop(AbstractWhenFull):
    """The oldest step goes, with its events and its label: what is learned from is fresh."""

    def relieve(self, steps: deque[Step], counts: Counts) -> bool:
        """Make room for one step."""
        drop(steps.popleft(), counts)
        return True


class Coarsen(AbstractWhenFull):
    """Neighbours become one step that counts the events of both; half the queue is free.

    No event is lost, but time runs faster for the network, which steps by `dt` all the same. Of two
    labels the later stays. Merged again and again, a step may be many steps wide.
    """

    def relieve(self, steps: deque[Step], counts: Counts) -> bool:
        """Merge all pairs, the oldest first."""
        pairs = len(steps) // 2
        for _ in range(pairs):
            steps.append(merged(steps.popleft(), steps.popleft(), counts))
        steps.rotate(-(len(steps) - pairs))  # an odd one was the latest
        counts.steps_merged += pairs
        return pairs > 0


def drop(step: Step, counts: Counts) -> None:
    """Count a step that nobody learns from."""
    counts.steps_dropped += 1
    counts.events.dropped += step.events
    counts.labels.dropped += step.label != NO_LABEL


def merged(first: Step, second: Step, counts: Counts) -> Step:
    """Both steps as one; a label whose place another takes is dropped."""
    stays = first if second.label == NO_LABEL else second
    counts.labels.dropped += NO_LABEL not in (first.label, second.label)
    return Step(
        first.start,
        np.add(first.x, second.x),
        first.events + second.events,
        stays.label,
        stays.late,
        first.width + second.width,
        first.came,
    )
