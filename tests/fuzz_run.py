"""Fuzz one target, guided by coverage: `fuzz_run.py TARGET FOLDER [options of libFuzzer]`.

Runs in an environment of its own that has atheris: see `make fuzz`. What is new is kept in FOLDER,
from which a later run begins. The first error that was not promised ends it.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["tracegrad", "tomllib", "zipfile", "tarfile"]):
    from fuzz_targets import TARGETS
    from tracegrad.errors import UsageError


def main() -> None:
    _, name, folder, *options = sys.argv
    target, corpus = TARGETS[name], Path(folder)
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)

    def once(content: bytes) -> None:
        try:
            target.read(content)
        except UsageError:
            return

    atheris.Setup([sys.argv[0], *options, folder], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
