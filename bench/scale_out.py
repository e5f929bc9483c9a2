"""Bytes that stay on a device and bytes that travel, from compiled programs and on paper above.

Nothing is run and no array is made: XLA compiles from shapes, for as many virtual devices as asked.
Both numbers are polynomials of the neurons, so that three compiled sizes give all others; a fourth
one checks that. Writes `results/scale_out.json` and the tables of docs/scale_out.md.
"""

import argparse
import json
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

DEVICES = 64
if __name__ == "__main__":  # a test reads the page, with devices of its own
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={DEVICES}"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import optax  # noqa: E402
import result  # noqa: E402
from tables import source, table  # noqa: E402

import tracegrad as tg  # noqa: E402
from tracegrad.run.mesh import mesh_of  # noqa: E402
from tracegrad.run.travelled import travelled  # noqa: E402

PAGE = Path(__file__).resolve().parents[1] / "docs" / "scale_out.md"
START, END = "<!-- results -->", "<!-- /results -->"
LINES, CLASSES, BATCH, STEPS = 100, 10, 8, 100
MEMORY, LINK = 3.35e12, 50e9  # bytes a second: HBM3 of an H100, one port of NDR InfiniBand
HOLDS = 80 * 10**9  # bytes of an H100
KNOWN = {"feed-forward": (1024, 2048, 9984), "recurrent": (1024, 2048, 4096)}  # compiled
CHECKED = {"feed-forward": 1_000_000, "recurrent": 8192}  # compiled too, beside what is on paper
POWERS = range(3, 8)


class Bytes(NamedTuple):
    """On one device, with data; and that it receives in a step."""

    stays: Fraction
    travels: Fraction


def compiled(n: int, recurrent: bool) -> jax.stages.Compiled:
    """A block of steps of e-prop with Adam at every step, neurons over all devices."""
    again = tg.Dense(n, n) if recurrent else None
    layer = tg.Layer(tg.Dense(LINES, n), tg.LIF(), recurrent=again)
    net = tg.Network(layer, readout=tg.Readout(n, CLASSES), dt=1e-3)
    loss = tg.losses.cross_entropy()
    learner = tg.Learner(net, tg.rules.eprop(), loss, optax.adam(1e-3), update_every=1)
    over = learner.over(mesh_of(f"neuron={DEVICES}"))
    state = jax.eval_shape(lambda: learner.init(jax.random.key(0), BATCH))
    xs = jax.ShapeDtypeStruct((STEPS, BATCH, LINES), jnp.float32)
    ys = jax.ShapeDtypeStruct((STEPS, BATCH), jnp.int32)
    return over.run.lower(state, xs, ys).compile()


def measured(kind: str, n: int) -> Bytes:
    """Of the program that XLA makes for so many neurons."""
    program = compiled(n, kind == "recurrent")
    stays = program.memory_analysis().argument_size_in_bytes
    return Bytes(Fraction(stays), Fraction(sum(travelled(program).values())) / STEPS)


def on_paper(known: dict[int, Bytes], n: int) -> Bytes:
    """The polynomial through what is known, at another size."""
    return Bytes(*(through({m: b[i] for m, b in known.items()}, n) for i in range(2)))


def through(points: dict[int, Fraction], at: int) -> Fraction:
    """The value of the polynomial through points, by Lagrange."""
    total = Fraction(0)
    for x, y in points.items():
        for other in points:
            if other != x:
                y = y * Fraction(at - other, x - other)
        total += y
    return total


def largest(known: dict[int, Bytes]) -> int:
    """Neurons that the devices hold, a multiple of these."""
    few, many = 1, 2**40 // DEVICES
    while few < many:
        middle = (few + many + 1) // 2
        fits = on_paper(known, DEVICES * middle).stays <= HOLDS
        few, many = (middle, many) if fits else (few, middle - 1)
    return DEVICES * few


def row(kind: str, n: int, how: str, found: Bytes) -> dict:
    """A row of the result file; times are those that memory and link need at least."""
    stays, travels = float(found.stays), float(found.travels)
    return {
        "network": kind,
        "neurons": n,
        "how": how,
        "stays": stays,
        "travels": travels,
        "memory_ms": 1e3 * 2 * stays / MEMORY,
        "link_ms": 1e3 * travels / LINK,
    }


def rows(kind: str) -> list[dict]:
    """Of a network: powers of ten, the size that checks the paper, and the largest that fits."""
    known = {n: measured(kind, n) for n in KNOWN[kind]}
    check = CHECKED[kind]
    made, paper = measured(kind, check), on_paper(known, check)
    off = max(abs(float(b / a) - 1) for a, b in zip(made, paper, strict=True))
    print(f"{kind}, {check:,} neurons: compiled and on paper differ by {off:.2g}", flush=True)
    if off > 1e-3:
        raise SystemExit(f"On paper it is {paper}, compiled {made}: no polynomial of the neurons.")
    seen = known | {check: made}
    sizes = sorted({DEVICES * round(10**power / DEVICES) for power in POWERS} | {check})
    found = [
        row(kind, n, "compiled" if n in seen else "on paper", seen.get(n) or on_paper(known, n))
        for n in sizes
    ]
    most = largest(known)
    return [*found, row(kind, most, "fits", on_paper(known, most)) | {"paper_off": off}]


def lines(found: Sequence[dict]) -> str:
    """What stays and travels, by size."""
    heads = ["network", "neurons", "how", "stays, MB", "travels, kB a step", "memory, ms",
             "link, ms", "fits"]  # fmt: skip
    cells = [
        [
            r["network"],
            f"{r['neurons']:,}",
            r["how"],
            f"{r['stays'] / 1e6:,.3g}" if r["stays"] < 1e9 else f"{r['stays'] / 1e6:,.0f}",
            f"{r['travels'] / 1e3:,.3g}" if r["travels"] < 1e6 else f"{r['travels'] / 1e3:,.0f}",
            f"{r['memory_ms']:.3g}",
            f"{r['link_ms']:.3g}",
            "yes" if r["stays"] <= HOLDS else "no",
        ]
        for r in found
        if r["how"] != "fits"
    ]
    return table(heads, cells)


def cluster(found: Sequence[dict]) -> str:
    """What 64 GPUs hold, and how fast that steps at most."""
    heads = ["network", "neurons that fit", "state in all, TB", "a step at least, ms",
             "of that the link, ms"]  # fmt: skip
    cells = [
        [
            r["network"],
            f"{r['neurons']:,}",
            f"{DEVICES * r['stays'] / 1e12:.2f}",
            f"{r['memory_ms'] + r['link_ms']:.3g}",
            f"{r['link_ms']:.3g}",
        ]
        for r in found
        if r["how"] == "fits"
    ]
    return table(heads, cells)


def section(content: dict) -> str:
    """What stands between the marks, from the result file and nothing else."""
    found = content["rows"]
    off = max(r["paper_off"] for r in found if r["how"] == "fits")
    said = (
        f"On paper, {DEVICES} GPUs of {HOLDS / 1e9:.0f} GB hold, full to the last byte (what is on "
        f"paper differs from what was compiled by {off:.1g} at most):"
    )
    return "\n\n".join([START, lines(found), said, cluster(found), source(content), END])


def written(page: str) -> str:
    """The page with the section as the result file makes it."""
    content = json.loads((result.FOLDER / "scale_out.json").read_text())
    before, rest = page.split(START)
    return before + section(content) + rest.split(END)[1]


def main() -> None:
    """Compile all, unless it is the page alone that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", action="store_true", help="write the page only")
    if not parser.parse_args().page:
        settings = {"devices": DEVICES, "lines": LINES, "classes": CLASSES, "batch": BATCH}
        settings |= {"steps": STEPS, "memory": MEMORY, "link": LINK, "holds": HOLDS}
        result.write("scale_out", settings, [one for kind in KNOWN for one in rows(kind)])
    PAGE.write_text(written(PAGE.read_text()))


if __name__ == "__main__":
    main()
