"""MLflow: a run that bears the name of the folder, found again by a tag."""

import time

from tracegrad.data.extras import extra
from tracegrad.log.sink import AbstractSink, remembered, settings
from tracegrad.run.folder import RunFolder

TAG = "tracegrad.id"
ASKED = "test_loss"  # every epoch has one


class MLflow(AbstractSink):
    """Metrics by epoch, with the settings as parameters; MLFLOW_TRACKING_URI says where to.

    MLflow is asked which epochs it has, and takes those of an epoch in one transaction.
    """

    def __init__(self, run: RunFolder):
        """Find the run in the experiment `tracegrad`, or begin it."""
        mlflow = extra("mlflow", "Logs to MLflow", "mlflow")
        self._metric = mlflow.entities.Metric
        self._client = mlflow.MlflowClient()
        known = self._client.get_experiment_by_name("tracegrad")
        experiment = known.experiment_id if known else self._client.create_experiment("tracegrad")
        tag = remembered(run)["id"]
        found = self._client.search_runs([experiment], f"tags.`{TAG}` = '{tag}'")
        if not found:
            name = run.path.resolve().name
            found = [self._client.create_run(experiment, tags={TAG: tag}, run_name=name)]
            given = [mlflow.entities.Param(*item) for item in settings(run.config()).items()]
            self._client.log_batch(found[0].info.run_id, params=given)
        self._id = found[0].info.run_id
        history = self._client.get_metric_history(self._id, ASKED)
        self.done = max((metric.step for metric in history), default=0)

    def add(self, number: int, values: dict[str, float]) -> None:
        """One batch of metrics."""
        now = int(1e3 * time.time())
        made = [self._metric(name, value, now, number) for name, value in values.items()]
        self._client.log_batch(self._id, metrics=made)
        self.done = number

    def close(self, finished: bool) -> None:
        """Say that the run is finished, if it is."""
        if finished:
            self._client.set_terminated(self._id)
