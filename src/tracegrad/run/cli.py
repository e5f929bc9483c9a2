"""Command line: `tracegrad train|resume|show|stream|study|fidelity|explain|audit|tasks|...`."""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from tracegrad.errors import UsageError
from tracegrad.export.command import export
from tracegrad.learn.rules import RULES
from tracegrad.log.command import log
from tracegrad.model import NEURONS
from tracegrad.report.command import report
from tracegrad.run.audit_command import audit
from tracegrad.run.bench_command import bench
from tracegrad.run.cost_command import cost
from tracegrad.run.data_command import data
from tracegrad.run.defaults import defaults
from tracegrad.run.explain_command import explain
from tracegrad.run.fidelity_command import fidelity
from tracegrad.run.folder import make_folder, new_path, runs_in
from tracegrad.run.hosting import platforms
from tracegrad.run.mesh import mesh_of
from tracegrad.run.nir_command import nir
from tracegrad.run.options import DemoOptions, ResumeOptions, TrainOptions, parse, parse_train
from tracegrad.run.pictures import Curves, draw_curves
from tracegrad.run.processes import together
from tracegrad.run.session import Session
from tracegrad.run.storage import storage
from tracegrad.run.table import print_list, print_runs
from tracegrad.run.tasks_command import tasks
from tracegrad.stream.command import stream
from tracegrad.study.command import study
from tracegrad.watch.command import watch

DEMO = ("block_diagonal", "eprop", "bptt")
HELP = """Online learning rules for spiking neural networks.

  tracegrad train TASK [options]   train a network on a task and leave a run folder
  tracegrad resume RUN             go on with a run that was cut short
  tracegrad demo                   learn to read digits online, beside BPTT and e-prop
  tracegrad show RUN               print a run again
  tracegrad stream RUN             learn from a live source and predict, for ever
  tracegrad report RUN ...         a page to look at: curves, spikes, the three factors, cost
  tracegrad watch RUN              a page of a training while it runs, with a button to pause it
  tracegrad log RUN --to TOOL      its metrics in TensorBoard, Weights & Biases or MLflow
  tracegrad study FILE             a grid of trainings, and its report
  tracegrad fidelity NEURON        how close rules come to the exact gradient
  tracegrad explain RULE           a rule in equations, derived from the neuron
  tracegrad audit RULE [MODEL]     what a rule costs, and whom a weight change needs
  tracegrad cost RUN               what a network does on its data, and what learning adds
  tracegrad export c RUN           a trained network as C that goes on learning on a device
  tracegrad export nir RUN         a trained network, with its rule, as a NIR graph
  tracegrad nir FILE               what a NIR graph is as a network here
  tracegrad bench [WORK ...]       a training step beside references written by hand
  tracegrad data list|get|cochlea  public data sets: list, download; speech into spikes
  tracegrad tasks|rules|neurons|substrates  list what there is
  tracegrad tasks show NAME        draw one sequence of a task

  NEURON is one of the list or yours: FILE.py:MyNeuron, with --neuron where there is no NEURON.
  MODEL is a RUN, a TASK or a NEURON.
  tracegrad COMMAND --help: all options.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 done, 2 a mistake of the user (one sentence on stderr), 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        _command(arguments)(arguments[1:])
    except UsageError as error:
        return _complain(" ".join([str(error), *_notes(error)]), 2)
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        return _complain(" ".join([f"{where}{error.strerror or error}.", *_notes(error)]), 2)
    except KeyboardInterrupt as error:
        return _complain(" ".join(["Interrupted.", *_notes(error)]), 130)
    except SystemExit as leave:  # --help
        return leave.code if isinstance(leave.code, int) else 0
    return 0


def train(arguments: list[str]) -> None:
    """Train one rule on one task."""
    options, console = parse_train(arguments), Console()
    settings = options.settings
    path = options.out or new_path(settings.task, settings.learning.rule)
    with together(options.together):
        session = _session(options, console)
        if not session.first:
            return session.follow(path, settings)
        done = session.run(settings, path)
    print_runs(console, [done.summary])
    _print_paths(path, done.pictures)


def resume(arguments: list[str]) -> None:
    """Go on with a run that was cut short."""
    named = bool(arguments) and not arguments[0].startswith("-")
    if not named and not {"-h", "--help"} & set(arguments):
        raise UsageError("resume needs the folder of a run first: tracegrad resume RUN.")
    options, console = parse(ResumeOptions(), "resume RUN", arguments[named:]), Console()
    path = Path(arguments[0])
    with together(options.together):
        session = _session(options, console)
        if not session.first:
            return session.follow(path)
        done = session.resume(path)
    print_runs(console, [done.summary])
    _print_paths(path, done.pictures)


def demo(arguments: list[str]) -> None:
    """Train three rules on the digits with the same settings, and compare them."""
    began = time.perf_counter()
    options, console = parse(DemoOptions(), "demo", arguments), Console()
    path = options.out or new_path("demo")
    settings = []
    for rule in DEMO:
        base = replace(defaults("digits", rule), seed=options.seed)
        settings.append(replace(base, learning=replace(base.learning, epochs=options.epochs)))
    make_folder(path)
    runs = [Session(console).run(config, path / config.learning.rule) for config in settings]
    epochs = {run.summary.rule: run.epochs for run in runs}
    curves = draw_curves(Curves(epochs, runs[0].summary.floors), path / "learning.png")
    print_runs(console, [run.summary for run in runs])
    _print_paths(path, [curves, *runs[0].pictures])
    print(f"Took {time.perf_counter() - began:.0f} s.")


def show(arguments: list[str]) -> None:
    """Print a run again, or all runs in a folder; an unfinished one is said to be so."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise UsageError(f"show needs one folder: tracegrad show RUN, got {len(arguments)}.")
    path, console = Path(arguments[0]), Console()
    runs = runs_in(path)
    finished = [run.summary() for run in runs if run.finished]
    if finished:
        print_runs(console, finished)
    for run in runs:
        if not run.finished:
            config, epochs = run.config(), run.epochs()
            print(
                f"{run.path} is unfinished: {config.task} with {config.learning.rule}, "
                f"{len(epochs)} of {config.learning.epochs} epochs done. "
                f"Go on with: tracegrad resume {run.path}"
            )
    _print_paths(path, sorted(path.glob("**/*.png")))


def rules(arguments: list[str]) -> None:
    """List the rules."""
    _refuse(arguments, "rules")
    print_list((rule.name, rule.summary) for rule in (make() for make in RULES))


def neurons(arguments: list[str]) -> None:
    """List the neurons."""
    _refuse(arguments, "neurons")
    entries = ((n.__name__, (n.__doc__ or "").strip().splitlines()[0]) for n in NEURONS)
    print_list(entries)


def substrates(arguments: list[str]) -> None:
    """List the platforms."""
    _refuse(arguments, "substrates")
    print_list((name, f"{preset.name}: {preset.summary}") for name, preset in platforms())


def usage(arguments: list[str]) -> None:
    """Print what commands there are."""
    print(HELP, end="")


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    made.__name__: made
    for made in (
        *(train, resume, demo, show, report, watch, log, stream, study, fidelity, explain),
        *(audit, cost, export, nir, bench),
        *(data, tasks, rules, neurons, substrates),
    )
}


def _session(options: TrainOptions | ResumeOptions, console: Console) -> Session:
    named, mesh = options.checkpoint_format, mesh_of(options.mesh)
    put = None if named is None else storage(named)
    return Session(console, options.pictures, options.checkpoint_every, mesh, put)


def _command(arguments: list[str]) -> Callable[[list[str]], None]:
    if not arguments or arguments[0] in ("-h", "--help"):
        return usage
    if arguments[0] not in COMMANDS:
        raise UsageError(
            f"There is no command {arguments[0]}. There are {', '.join(COMMANDS)}; see tracegrad "
            "--help."
        )
    return COMMANDS[arguments[0]]


def _refuse(arguments: list[str], command: str) -> None:
    if arguments:
        raise UsageError(f"tracegrad {command} takes no options, got {' '.join(arguments)}.")


def _print_paths(path: Path, pictures: list[Path]) -> None:
    print(f"Run folder: {path}")
    for picture in pictures:
        print(f"  {picture}")


def _notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def _complain(sentence: str, code: int) -> int:
    print(f"tracegrad: {sentence}", file=sys.stderr)
    return code
