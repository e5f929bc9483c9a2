"""Fuzz one target, guided by coverage: `fuzz_run.py TARGET FOLDER SECONDS [options of libFuzzer]`.

Runs in an environment of its own that has atheris: see `make fuzz`. What is new is kept in FOLDER,
from which a later run begins. The first error that was not promised ends it, and so does an input
that takes SECONDS of a core; time in which the process waits for one does not count.
"""

import signal
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["tracegrad", "tomllib", "zipfile", "tarfile"]):
    from fuzz_targets import TARGETS
    from tracegrad.errors import UsageError


class LateError(BaseException):
    """No reader can take it for an error of a file."""


def late(*_: object) -> None:
    raise LateError


def main() -> None:
    _, name, folder, seconds, *options = sys.argv
    target, corpus, longest = TARGETS[name], Path(folder), float(seconds)
    signal.signal(signal.SIGPROF, late)
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)

    def once(content: bytes) -> None:
        signal.setitimer(signal.ITIMER_PROF, longest)
        try:
            target.read(content)
        except UsageError:
            return
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    atheris.Setup([sys.argv[0], *options, folder], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
