"""Weights & Biases: a run of its own name, which a later call goes on with."""

from tracegrad.data.extras import extra
from tracegrad.log.sink import AbstractSink, remember, remembered, settings
from tracegrad.run.folder import RunFolder


class WandB(AbstractSink):
    """Scalars by epoch, with the settings; where to is said by its own variables, WANDB_MODE, ....

    How many epochs it has lies in the run folder, for it may be offline and cannot be asked.
    """

    def __init__(self, run: RunFolder):
        """Begin the run, or go on with it."""
        wandb = extra("wandb", "Logs to Weights & Biases", "wandb")
        self._folder, self._kept = run.path, remembered(run)
        self.done = self._kept.get("wandb", 0)
        self._run = wandb.init(
            project="tracegrad",
            id=self._kept["id"],
            name=run.path.resolve().name,
            resume="allow",
            dir=str(run.path),
            config=settings(run.config()),
        )

    def add(self, number: int, values: dict[str, float]) -> None:
        """One step, and then the note that it was taken."""
        self._run.log(values, step=number, commit=True)
        self._kept["wandb"] = self.done = number
        remember(self._folder, self._kept)

    def close(self, finished: bool) -> None:
        """Let its process send or write what it has."""
        self._run.finish()
