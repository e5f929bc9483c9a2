"""tracegrad beside its peers on the same arrays, each in turn with expert BPTT in JAX.

A peer's process holds the network; it and expert BPTT (in this process) take a step in turn, so
that the ratio is one within a run. Each row says what others used of the machine meanwhile.
Rows of other peers and workloads stay in the result file as long as they are of the same commit.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
from install import FAILED, FOLDER, HERE, INSTALLED, peers
from process import PeerError, PeerProcess

sys.path.append(str(HERE.parent))

import result  # noqa: E402  the folder above holds it

from tracegrad.bench import REFERENCES, WORKLOADS, Given, Row, given, rows, timed  # noqa: E402
from tracegrad.bench.disturbance import Disturbance  # noqa: E402
from tracegrad.bench.references.weights import weights  # noqa: E402
from tracegrad.bench.rows import BASE  # noqa: E402
from tracegrad.bench.workload import ALPHA, BETA, KAPPA, LEARNING_RATE, SLOPE  # noqa: E402

OURS = {
    "W1": ("eprop, events", "block_diagonal, events", "eprop, chunk"),
    "W2": ("eprop, events", "block_diagonal, events", "eprop, chunk"),
    "W3": (
        "eprop, Adam every step",
        "es_d_rtrl, Adam every step",
        "block_diagonal, Adam every step",
        "eprop, events",
    ),
}
BY_HAND = "JAX, by hand"
PATIENCE = 300.0  # seconds for an answer: compiling and one step


def summary(
    times: dict[str, list[float]], name: str, others: float | None
) -> dict[str, float | None]:
    """Median, shortest and ratios to the base; that of the shortest is disturbed the least."""
    median = statistics.median(times[name])
    return {
        "ms": 1e3 * median,
        "best_ms": 1e3 * min(times[name]),
        "ratio": median / statistics.median(times[BASE]),
        "best_ratio": min(times[name]) / min(times[BASE]),
        "runs": len(times[name]),
        "load": os.getloadavg()[0],
        "others": others,
    }


def write_work(arrays: Given, path: Path) -> None:
    """Arrays and constants for the peers' processes."""
    constants = {"alpha": ALPHA, "beta": BETA, "kappa": KAPPA, "slope": SLOPE}
    np.savez(path, **arrays._asdict(), **constants, learning_rate=LEARNING_RATE)


def compared(call: list[str], base: Row, seconds: float) -> dict[str, float | str | None]:
    """One mode of a peer in turn with the base, or why it does not run."""
    with tempfile.TemporaryDirectory() as folder:
        with PeerProcess(call, Path(folder) / "log", PATIENCE) as peer:
            try:
                first = peer.answer()
                last: dict[str, float] = {}

                def run() -> float:
                    last.update(peer.step())
                    return last["seconds"]

                found = {BASE: base, "peer": Row(run, 0, first["compile_s"], "")}
                watch = Disturbance([peer.pid])
                times = timed(found, seconds)
                others = watch.share()
            except PeerError as error:
                return {"skipped": str(error)}
        return summary(times, "peer", others) | first | {"growth_mib": last["growth_mib"]}


def of_peer(name: str, work: str, given_at: Path, base: Row, seconds: float) -> list[dict]:
    """Every mode of a peer at a workload."""
    peer, folder = peers()[name], FOLDER / name
    row = {"workload": work, "peer": name}
    if "skipped" in peer:
        return [row | {"skipped": peer["skipped"]}]
    if not (folder / INSTALLED).is_file():
        failed = folder / FAILED
        reason = failed.read_text() if failed.is_file() else "not installed: make bench-peers"
        return [row | {"skipped": reason}]
    about = {"packages": peer["packages"], "differs": peer["differs"]}
    found = []
    for mode in peer["modes"][work]:
        call = [str(folder / "bin" / "python"), str(HERE / peer["script"]), mode, str(given_at)]
        found.append(row | {"mode": mode} | about | compared(call, base, seconds))
        print({k: v for k, v in found[-1].items() if k not in about}, flush=True)
    return found


def of_tracegrad(work: str, made: dict[str, Row], loss: float, seconds: float) -> list[dict]:
    """The base and ours, timed in turn."""
    watch = Disturbance()
    times, found = timed(made, seconds), []
    others = watch.share()
    for label, row in made.items():
        more = {"plan": row.plan, "compile_s": row.compile_s, "memory_mib": row.memory / 2**20}
        who = BY_HAND if label == BASE else "tracegrad"
        about = {"workload": work, "peer": who, "mode": label, "loss": loss} | more
        found.append(about | summary(times, label, others))
        print(found[-1], flush=True)
    return found


def kept(work: str, names: list[str]) -> list[dict]:
    """Rows of the result file that are not measured anew."""
    path = result.FOLDER / "peers.json"
    if not path.is_file():
        return []
    content = json.loads(path.read_text())
    if content["commit"] != result.COMMIT:
        return []
    return [r for r in content["rows"] if r["workload"] != work or r["peer"] not in names]


def add(work: str, names: list[str], found: list[dict]) -> None:
    """Put the rows of peers at a workload into the result file, in place of older ones."""
    settings = {name: WORKLOADS[name]._asdict() for name in OURS}
    result.write("peers", settings, kept(work, names) + found)


def main() -> None:
    """Measure the workloads and peers named; `install.py` has made the environments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", default=[*OURS])
    parser.add_argument("--peers", nargs="*", default=["tracegrad", *peers()])
    parser.add_argument("--seconds", type=float, default=6.0, help="for each mode of a peer")
    options = parser.parse_args()
    for work in options.workloads:
        arrays = given(WORKLOADS[work])
        makers = rows(work, WORKLOADS[work], arrays)
        base = makers[BASE]()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "work.npz"
            write_work(arrays, path)
            for name in options.peers:
                if name != "tracegrad":
                    add(work, [name], of_peer(name, work, path, base, options.seconds))
        if "tracegrad" in options.peers:
            made = {BASE: base} | {label: makers[label]() for label in OURS[work]}
            loss = jax.jit(REFERENCES[BASE])(weights(arrays), arrays.xs, arrays.classes)[0]
            found = of_tracegrad(work, made, float(loss), len(made) * options.seconds)
            add(work, ["tracegrad", BY_HAND], found)


if __name__ == "__main__":
    main()
