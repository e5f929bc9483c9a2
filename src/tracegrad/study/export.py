"""Export: results as a small JSON file that can be kept beside the source, and read again."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tracegrad.errors import DataError
from tracegrad.study.outcome import Outcome
from tracegrad.study.store import Results, Row

CURVE = ("epoch", "test_accuracy", "test_loss", "train_loss")
DIGITS = 5  # of a number of a curve


def export(results: Results, path: Path) -> Path:
    """Write results without trials; of a curve only epochs, test scores and training loss."""
    made = [row.outcome.environment for row in results.cells if row.outcome.environment]
    lasting = [_lasting(environment) for environment in made]
    environments = list({json.dumps(e, sort_keys=True): e for e in lasting}.values())
    content = {
        "name": results.name,
        "question": results.question,
        "size": results.size,
        "text": results.text,
        "plan": results.plan,
        "trials": len(results.trials),
        "environments": environments,
        "cells": [_slim(row, environments) for row in results.cells],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def load_export(path: Path) -> Results:
    """The results of an exported file; `DataError` if it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        noted = {name: content[name] for name in ("name", "question", "size", "text", "plan")}
        return Results(
            **noted, cells=[_row(cell, content["environments"]) for cell in content["cells"]]
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no exported result of a study: {error!r}.") from error


def _lasting(environment: dict[str, Any]) -> dict[str, Any]:
    """What does not change from cell to cell."""
    return {name: v for name, v in environment.items() if name not in ("date", "load")}


def _slim(row: Row, environments: list[dict[str, Any]]) -> dict[str, Any]:
    slim = asdict(row)
    outcome = slim.pop("outcome") | {"seconds": round(row.outcome.seconds, 1)}
    outcome["curves"] = {
        name: [_rounded(epoch[name]) for epoch in row.outcome.curves] for name in CURVE
    }
    made = row.outcome.environment
    outcome["environment"] = environments.index(_lasting(made)) if made else None
    outcome["load"] = made.get("load")
    return slim | outcome


def _row(cell: dict[str, Any], environments: list[dict[str, Any]]) -> Row:
    cell = dict(cell)
    load, index = cell.pop("load"), cell.pop("environment")
    columns = cell.pop("curves")
    epochs = zip(*(columns[name] for name in CURVE), strict=True)
    curves: list[dict[str, Any]] = [dict(zip(CURVE, epoch, strict=True)) for epoch in epochs]
    made = {} if index is None else environments[index] | {"load": load}
    kept = {name: cell.pop(name) for name in ("status", "sentence", "metrics", "seconds")}
    return Row(**cell, outcome=Outcome(**kept, curves=curves, environment=made))


def _rounded(value: float | int | None) -> float | int | None:
    return round(value, DIGITS) if isinstance(value, float) else value
