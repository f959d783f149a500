"""Show runs in MLflow: on a server, or in a folder."""

import os
import time
from collections.abc import Mapping
from typing import Any

from lottery.errors import UsageError
from lottery.progress.boards import About, Board, missing
from lottery.wording.text import without_password

GROUP = "lottery.group"  # the run id, which the replicates of a config share
TAG = "lottery.run"  # ID_replicate_K, by which a resumed run finds its own again
MOST = 100  # parameters in one call
DEFAULTS = {  # of MLflow's own variables, unless they are set
    "MLFLOW_ALLOW_FILE_STORE": "true",  # else it refuses a folder, which needs no more packages
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # a server that is away must not hold up a training
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def mlflow(about: About, *, uri: str | None, experiment: str, layers: bool) -> Board:
    """Keep one MLflow run a replicate; metrics are level_02/val_METRIC, metrics/test_METRIC.

    A resumed run goes on with the same one, found by its tag, and sends what it does not hold yet.
    """
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    try:
        import mlflow as _  # noqa: F401
    except ImportError as error:
        raise missing("mlflow", error) from error
    where = whole(uri) or about.place(None, "mlflow").as_uri()
    return Run(about, where, experiment, layers)


def whole(uri: str | None) -> str | None:
    """Return an address with its password, which is kept in no file of a run.

    Raises UsageError where it is blanked, as in config.yaml, and MLflow's variable has no other.
    """
    if uri is None or uri != without_password(uri) or "***" not in uri:
        return uri
    if without_password(known := os.environ.get("MLFLOW_TRACKING_URI", "")) != uri:
        raise UsageError(
            f"log: the password of loggers.mlflow.uri={uri} is kept nowhere; set "
            "MLFLOW_TRACKING_URI to the whole address, or type log=[] to log nowhere"
        )
    return known


class Run:
    """One run of MLflow, begun at the first row."""

    def __init__(self, about: About, uri: str, experiment: str, layers: bool) -> None:
        self.about, self.uri, self.experiment, self.layers = about, uri, experiment, layers
        self.client: Any = None
        self.id = ""
        self.sent: dict[str, int] = {}  # table -> x of its newest row

    def write(self, table: str, x: int, row: Mapping[str, float]) -> None:
        """Send a row, unless an earlier process has sent it."""
        from mlflow.entities import Metric

        if self.client is None:
            self.begin()
        if not row:
            return
        if table not in self.sent:  # what is sent last of a row tells whether all of it was
            held = self.client.get_metric_history(self.id, f"{table}/{[*row][-1]}")
            self.sent[table] = max((metric.step for metric in held), default=-1)
        if x <= self.sent[table]:
            return
        now = int(time.time() * 1000)
        sent = [Metric(f"{table}/{column}", value, now, x) for column, value in row.items()]
        self.client.log_batch(self.id, metrics=sent)
        self.sent[table] = x

    def begin(self) -> None:
        """Find the run, or begin it."""
        from mlflow import MlflowClient
        from mlflow.entities import Param

        client = MlflowClient(tracking_uri=self.uri)
        there = client.get_experiment_by_name(self.experiment)
        where = there.experiment_id if there else client.create_experiment(self.experiment)
        mine = f"tags.`{TAG}` = '{self.about.identity}'"
        found = client.search_runs([where], filter_string=mine, max_results=1)
        if found:
            self.id = found[0].info.run_id
            client.update_run(self.id, status="RUNNING")
        else:
            name = f"{self.about.name} {self.about.label}"
            tags = {TAG: self.about.identity, GROUP: self.about.group, "mlflow.runName": name}
            self.id = client.create_run(where, tags=tags).info.run_id
            told = [Param(key, str(value)) for key, value in self.about.settings.items()]
            for at in range(0, len(told), MOST):
                client.log_batch(self.id, params=told[at : at + MOST])
        self.client = client

    def close(self) -> None:
        if self.client is not None:
            self.client.set_terminated(self.id)
