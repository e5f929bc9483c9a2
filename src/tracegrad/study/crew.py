"""Crew: worker processes, spawned, watched, replaced when they die, stopped when time is up."""

import time
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from tracegrad.run.train import Epoch
from tracegrad.study.outcome import FAILED, Outcome
from tracegrad.study.store import Job
from tracegrad.study.worker import work

SPAWN = get_context("spawn")  # a forked child would share the threads of XLA, and hang


class Ended(NamedTuple):
    """A job came to its end."""

    job: Job
    outcome: Outcome


class Died(NamedTuple):
    """The process of a job died; `code` is its exit code, minus the signal that killed it."""

    job: Job
    code: int | None


@dataclass
class Member:
    """A worker process, our end of its pipe, and what it is at."""

    process: Any
    pipe: Connection
    job: Job | None = None
    began: float = 0.0
    epochs: list[Epoch] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long it has been at its job."""
        return time.monotonic() - self.began


class Crew:
    """Up to `size` workers; each is started with its first job and serves many."""

    def __init__(self, size: int, limit: float):
        """A job that takes more than `limit` seconds is stopped and recorded as failed."""
        self.size, self.limit, self.members = size, limit, list[Member]()

    @property
    def busy(self) -> list[Member]:
        """The workers that have a job."""
        return [member for member in self.members if member.job is not None]

    @property
    def free(self) -> bool:
        """Whether a job can be given out."""
        return len(self.busy) < self.size

    def start(self, job: Job) -> None:
        """Give a job to an idle worker, or to a new one."""
        idle = [member for member in self.members if member.job is None]
        member = idle[0] if idle else self._hire()
        member.job, member.began, member.epochs = job, time.monotonic(), []
        try:
            member.pipe.send(job.cell)
        except OSError:
            pass  # it died while idle: `wait` sees that and gives the job back

    def wait(self, seconds: float) -> list[Ended | Died]:
        """What happened, after `seconds` at most; epochs are noted at the members."""
        wait([member.pipe for member in self.members], seconds)
        return [event for member in list(self.members) if (event := self._look(member))]

    def stop(self) -> None:
        """End all workers, whatever they are at."""
        for member in list(self.members):
            self._dismiss(member)

    def _hire(self) -> Member:
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=work, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        self.members.append(Member(process, ours))
        return self.members[-1]

    def _look(self, member: Member) -> Ended | Died | None:
        job = member.job
        try:
            while member.pipe.poll():
                said = member.pipe.recv()
                if isinstance(said, Outcome):
                    assert job is not None
                    member.job = None
                    return Ended(job, said)
                member.epochs.append(said)
        except (EOFError, OSError):
            self._dismiss(member)
            return None if job is None else Died(job, member.process.exitcode)
        if job is not None and member.seconds > self.limit:
            self._dismiss(member)
            late = f"It took longer than the {self.limit:g} s that a cell of this study may take."
            return Ended(job, Outcome(FAILED, late, seconds=member.seconds))
        return None

    def _dismiss(self, member: Member) -> None:
        member.process.kill()
        member.process.join()
        member.pipe.close()
        self.members.remove(member)
