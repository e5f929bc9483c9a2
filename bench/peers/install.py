"""Make the environment of every peer in `.venv-peers/NAME`; what fails leaves its reason there."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parents[1] / ".venv-peers"
INSTALLED, FAILED = ".installed", ".failed"  # files in an environment


def peers() -> dict[str, dict]:
    """What peers.toml says."""
    return tomllib.loads((HERE / "peers.toml").read_text())


def install(name: str, packages: list[str]) -> str | None:
    """Make one environment, unless it is there with these packages; the reason if it fails."""
    folder, wanted = FOLDER / name, json.dumps(packages)
    done = folder / INSTALLED
    if done.is_file() and done.read_text() == wanted:
        return None
    print(f"installing {name}: {' '.join(packages)}", flush=True)
    calls = (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install",
         "--quiet", *packages],
    )  # fmt: skip
    for call in calls:
        run = subprocess.run(call, capture_output=True, text=True, check=False)
        if run.returncode:
            lines = run.stderr.strip().splitlines() or [f"exit code {run.returncode}"]
            (folder / FAILED).write_text(lines[-1])
            return lines[-1]
    done.write_text(wanted)
    return None


def main() -> None:
    """All of them; a failure stops none of the others."""
    for name, peer in peers().items():
        reason = peer.get("skipped") or install(name, peer["packages"])
        print(f"{name}: {reason or 'installed'}", flush=True)


if __name__ == "__main__":
    main()
