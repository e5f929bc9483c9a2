"""audit: `tracegrad audit RULE [MODEL]`, what a rule costs on a network, and whom it needs."""

import json
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Annotated

import tyro

from tracegrad.errors import UsageError
from tracegrad.inspect import audit as audit_rule
from tracegrad.learn.rule import Rule
from tracegrad.model import Network
from tracegrad.run.build import Ends, build_loss, build_network, build_parts, build_task
from tracegrad.run.config import Config, LearningConfig, NetworkConfig
from tracegrad.run.defaults import defaults
from tracegrad.run.evaluate import on_device
from tracegrad.run.folder import RunFolder, open_run
from tracegrad.run.hosting import expressed, hosted
from tracegrad.run.named_model import NamedModel, named_model
from tracegrad.run.named_rule import rule_and_options
from tracegrad.run.needed_bits import Lesson


@dataclass(frozen=True)
class AuditOptions:
    """Price a rule on a network: memory, operations, and whom it needs."""

    model: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="MODEL")] = None
    """Whose network: the folder of a run (as --run), a task (the network that train gives it), or
    a neuron (as --neuron); None: that of the options."""
    neuron: str | None = None
    """Which neuron: FILE.py:Class, or one of tracegrad neurons; None: CubaLIF."""
    inputs: int = 700
    """Input lines."""
    shape: tuple[int, int, int] | None = None
    """Input lines that are a map: channels, rows, columns."""
    conv: str | None = None
    """Layers on the map before the hidden ones, such as 12c5s2-32c5s2."""
    hidden: tuple[int, ...] = (256,)
    """Neurons of each hidden layer."""
    outputs: int = 20
    """Readout units."""
    recurrent: bool = True
    """Connect every hidden layer to itself, one step later."""
    run: Path | None = None
    """Take the network of this run; with --substrate, measure on its test data the bits needed."""
    data: Path | None = None
    """Folder of the data, for a task that needs one."""
    samples: int = 8
    """Test sequences to measure on, the first ones."""
    substrate: str | None = None
    """Say whether this platform can host it: see tracegrad substrates, or FILE.toml."""
    out: Path | None = None
    """Write the numbers to this JSON file."""


def audit(arguments: list[str]) -> None:
    """Print what a rule costs, and whom a weight change needs."""
    rule, options = rule_and_options("audit", AuditOptions(), arguments)
    if options.samples < 1:
        raise UsageError(f"--samples must be at least 1, got {options.samples}.")
    named = _named(options)
    if options.samples != AuditOptions.samples and None in (named.run, options.substrate):
        raise UsageError("--samples are measured on with --run and --substrate. Leave it out.")
    run = None if named.run is None else open_run(named.run)
    network = _network(options, named, run)
    try:
        found = audit_rule(network, rule)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error
    print(found)
    numbers = found.to_dict()
    if options.substrate is not None:
        told = expressed(network, rule, options.substrate)
        lesson = None if run is None else _lesson(run, network, rule, options.samples)
        fit = hosted(network, found, options.substrate, told, lesson)
        print("\n".join([*fit.lines(), *(line for each in told for line in each.lines())]))
        numbers["substrate"] = {
            "name": fit.platform,
            "fits": fit.fits,
            "checks": [check._asdict() for check in fit.checks],
            "products": [each.to_dict() for each in told],
        }
    if options.out is not None:
        options.out.write_text(json.dumps(numbers, indent=1) + "\n")
        print(f"Numbers: {options.out}")


def _named(options: AuditOptions) -> NamedModel:
    """The model that MODEL or else the options name; refused where they name two."""
    if options.model is None:
        return NamedModel(run=options.run, neuron=options.neuron)
    named = named_model(options.model)
    run = options.run is not None and (
        named.run is None or named.run.resolve() != options.run.resolve()
    )
    if run or (named.neuron is not None and options.neuron not in (None, named.neuron)):
        other = f"--run {options.run}" if run else f"--neuron {options.neuron}"
        raise UsageError(f"MODEL is {options.model}, and {other} is another. Leave one out.")
    return named


def _network(options: AuditOptions, named: NamedModel, run: RunFolder | None) -> Network:
    """The network of a run or a task, which no option may describe, or the one described."""
    if run is None and named.task is None:
        return _described(options, named.neuron or "CubaLIF")
    kept = {key: getattr(options, key) for key in ("model", "run", "samples", "substrate", "out")}
    if named.task is not None:
        kept["data"] = options.data
    if options != AuditOptions(**kept):
        raise UsageError(
            f"{options.model or '--run'} has a network of its own. Leave out the options that "
            "describe one."
        )
    if run is not None:
        return run.network()
    assert named.task is not None
    config = replace(defaults(named.task), data=options.data)
    return build_parts(config, build_task(config)).network


def _described(options: AuditOptions, neuron: str) -> Network:
    """The network that the options describe."""
    if options.data is not None:
        raise UsageError("--data is the folder of a task: give that as MODEL, or leave it out.")
    lines = options.inputs if options.shape is None else prod(options.shape)
    settings = NetworkConfig(
        conv=options.conv, hidden=options.hidden, neuron=neuron, recurrent=options.recurrent
    )
    ends = Ends(lines, options.outputs, 1e-3, options.shape)
    return build_network(
        Config(network=settings, learning=LearningConfig(learn_neurons=True)), ends
    )


def _lesson(run: RunFolder, network: Network, rule: Rule, samples: int) -> Lesson:
    """The run's loss and test data, for a rule that may be another than the run's."""
    config = run.config()
    task = build_task(config)
    loss = build_loss(config, task)
    try:
        rule.check_loss(loss)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error
    return Lesson(network, rule, loss, on_device(next(task.test.batches(samples, None))).real)
