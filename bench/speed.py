"""What does a training step cost, beside references written by hand? Ratios within one run.

`tracegrad bench` does the same and writes where it is told; this writes the project's result file.
"""

import argparse

import result

from tracegrad.bench import WORKLOADS, given, measure, rows


def main() -> None:
    """Measure the workloads named; the result file holds all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", default=[*WORKLOADS])
    parser.add_argument("--seconds", type=float, default=20.0, help="for each workload")
    parser.add_argument("--name", default="speed", help="of the result file")
    options = parser.parse_args()
    kept = []
    for name in options.workloads:
        work = WORKLOADS[name]
        found = measure(name, rows(name, work, given(work)), options.seconds, print)
        for row in found:
            print({k: round(v, 3) if isinstance(v, float) else v for k, v in row._asdict().items()})
        kept += [row._asdict() for row in found]
        settings = {n: WORKLOADS[n]._asdict() for n in options.workloads}
        result.write(options.name, settings, kept)


if __name__ == "__main__":
    main()
