"""Result files of the scripts beside this one: `results/NAME.json`."""

from pathlib import Path

from tracegrad.bench import result

FOLDER = Path(__file__).resolve().parent / "results"
ORIGIN = result.origin()  # at the start: what ran, whatever is edited meanwhile
COMMIT = ORIGIN.commit


def write(name: str, settings: dict, rows: list[dict]) -> Path:
    """Write `results/NAME.json` and return its path."""
    return result.write(FOLDER / f"{name}.json", ORIGIN, settings, rows)
