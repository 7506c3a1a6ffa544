"""Logs a training run to MLflow: settings, loss and speed by step, metrics, and the report of `finish`."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from brandpulse.errors import ConfigError
from model.training.fit import progress_log as say
from model.training.fit.run_state import is_first_process, write_text

EXPERIMENT = "brandpulse"
LOCAL = "local"
_STEPPED = {"step", "snapshot"}


@contextmanager
def tracked(store: str | None, *, name: str, settings: Mapping[str, Any], out: Path) -> Iterator[None]:
    """Sends the progress log to MLflow while the context is open; does nothing without *store*.

    *store* is a tracking URI, or `local` for the SQLite file `mlflow.db` and the folder `mlruns` beside *out*. A
    resumed run continues the same MLflow run. Raises ConfigError if MLflow is not installed or the store cannot be
    used.
    """
    if store is None or not is_first_process():
        yield
        return
    try:
        import mlflow
    except ImportError as error:
        raise ConfigError("--mlflow needs MLflow: pip install 'brandpulse[mlflow]'.") from error
    files: str | None = None
    if store == LOCAL:
        # Current versions of MLflow do not support the file store.
        place = out.parent.resolve()
        place.mkdir(parents=True, exist_ok=True)
        store, files = f"sqlite:///{place / 'mlflow.db'}", (place / "mlruns").as_uri()
    run_file = out.with_name(out.name + ".run") / "mlflow.json"
    try:
        mlflow.set_tracking_uri(store)
        if files is not None and mlflow.get_experiment_by_name(EXPERIMENT) is None:
            mlflow.create_experiment(EXPERIMENT, artifact_location=files)
        mlflow.set_experiment(EXPERIMENT)
        run_id = _stored_run(store, run_file)
        with mlflow.start_run(run_id=run_id, run_name=name) as run:
            if run_id is None:
                run_file.parent.mkdir(parents=True, exist_ok=True)
                write_text(run_file, json.dumps({"run_id": run.info.run_id, "store": store}) + "\n")
                mlflow.log_params({key: str(value)[:500] for key, value in settings.items()})
            with _log_handler(_Handler(mlflow)):
                yield
            if (out / "training.json").exists():
                mlflow.log_artifact(str(out / "training.json"))
    except mlflow.exceptions.MlflowException as error:
        raise ConfigError(f"--mlflow {store}: {error}") from error


def _stored_run(store: str, run_file: Path) -> str | None:
    """The run to continue; None if *run_file* is missing or belongs to another store."""
    if not run_file.exists():
        return None
    stored = json.loads(run_file.read_text(encoding="utf-8"))
    # Versions before 0.2 did not write the store: it was a server, or the folder that `local` no longer uses.
    same = stored.get("store") == store or ("store" not in stored and not store.startswith("sqlite:"))
    return str(stored["run_id"]) if same else None


class _Handler(logging.Handler):
    def __init__(self, mlflow: Any) -> None:
        super().__init__()
        self._mlflow = mlflow

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = getattr(record, "fields", {})
        event = record.getMessage()
        numbers = {name: float(value) for name, value in fields.items() if isinstance(value, int | float)}
        step = int(numbers.pop("step", 0)) if event in _STEPPED else None
        if event == "candidate":
            numbers = {f"{name} ({fields['weights']})": value for name, value in numbers.items()}
        if event in {"step", "snapshot", "candidate", "checks"}:
            self._mlflow.log_metrics({_metric_name(name): value for name, value in numbers.items()}, step=step)


@contextmanager
def _log_handler(handler: logging.Handler) -> Iterator[None]:
    level = say.logger.level
    say.logger.addHandler(handler)
    say.logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        say.logger.setLevel(level)
        say.logger.removeHandler(handler)


def _metric_name(name: str) -> str:
    """*name* with only the characters that MLflow allows in a metric name."""
    return "".join(sign if sign.isalnum() or sign in "_-. /" else "_" for sign in name)
