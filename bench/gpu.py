"""The training steps of `speed` on a GPU: products in float32, and in bfloat16 summed in float32.

Spikes are exact in bfloat16, so only weights and signals are rounded. Events are C for a CPU and
not among the rows. `--commit` names the commit where the machine with the GPU has no repository.
"""

import argparse

import jax
import result

from tracegrad.bench import WORKLOADS, given, measure, rows
from tracegrad.bench.roofline import peaks

PRODUCTS = {"float32": "float32", "bfloat16": "BF16_BF16_F32"}  # names of JAX
SIDE = 8192  # of the square matrices whose product is timed
WORKS = {name: WORKLOADS[name] for name in ("W1", "W2")}
WORKS["W2, batch 512"] = WORKLOADS["W2"]._replace(batch=512)
WORKS |= {name: WORKLOADS[name] for name in ("W3", "W1T1600", "RTRL")}


def main() -> None:
    """Each workload with both kinds of product; what is done stays."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", default=[*WORKS])
    parser.add_argument("--seconds", type=float, default=5.0, help="for each workload")
    parser.add_argument("--commit", default=result.COMMIT)
    options = parser.parse_args()
    if jax.default_backend() != "gpu":
        raise SystemExit(f"JAX sees no GPU, only {jax.devices()}: install jax[cuda13].")
    result.ORIGIN = result.ORIGIN._replace(commit=options.commit)
    settings = {"device": jax.devices()[0].device_kind, "seconds": options.seconds}
    kept: list[dict] = []
    for products, precision in PRODUCTS.items():
        with jax.default_matmul_precision(precision):
            settings[f"peaks, {products}"] = peaks(SIDE)._asdict()
    for name in options.workloads:
        work = WORKS[name]
        for products, precision in PRODUCTS.items():
            with jax.default_matmul_precision(precision):
                found = measure(name, rows(name, work, given(work)), options.seconds)
            for row in found:
                kept.append({"products": products} | row._asdict())
                print(f"{name:14} {products:9} {row.row:34} {row.ms:9.3f} ms {row.ratio:7.2f}")
            result.write("gpu", settings, kept)
            jax.clear_caches()


if __name__ == "__main__":
    main()
