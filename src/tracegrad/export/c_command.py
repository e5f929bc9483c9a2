"""export c: `tracegrad export c RUN`, a trained network as a C library that learns on."""

from dataclasses import dataclass, replace
from pathlib import Path

import jax
from safetensors import safe_open

from tracegrad.errors import UsageError
from tracegrad.export.device import Block, Device, Lesson, device
from tracegrad.export.folder import Written, write_library
from tracegrad.export.real import NAME, write_real
from tracegrad.export.reckon import NAME as OWN
from tracegrad.export.reckon import reckon_device, usual_rule, write_reckon
from tracegrad.export.refusals import check_platform
from tracegrad.export.stream import stream
from tracegrad.run.build import build_rule, build_task
from tracegrad.run.folder import WEIGHTS, RunFolder, open_run
from tracegrad.run.options import parse
from tracegrad.substrate.from_preset import made
from tracegrad.substrate.presets import load
from tracegrad.substrate.substrate import IDEAL, Substrate


@dataclass(frozen=True)
class ExportOptions:
    """Write a trained network and its learning rule as a C library for a device."""

    out: Path | None = None
    """Folder of the library, which must not exist."""
    substrate: str | None = None
    """Numbers of the device: see tracegrad substrates, or FILE.toml, or float32 for a device that
    has those; None: those of the run."""
    rule: str | None = None
    """Rule on the device in place of the run's: reckon, the chip's own, with --substrate reckon."""
    learning_rate: float = 2.0**-6
    """Rate of plain gradient descent on the device: a power of two, but for float32."""
    steps: int = 1000
    """Steps of the test vector, of the run's training set."""


def export_c(arguments: list[str]) -> None:
    """Write a library and say what it needs."""
    if not arguments or arguments[0].startswith("-"):
        parse(ExportOptions(), "export c RUN", [a for a in arguments if a in ("-h", "--help")])
        raise UsageError("export c needs a run: tracegrad export c RUN --out DIR.")
    options = parse(ExportOptions(), "export c RUN", arguments[1:])
    if options.out is None:
        raise UsageError("export c needs a folder: tracegrad export c RUN --out DIR.")
    if options.steps < 1:
        raise UsageError(f"steps must be at least 1, got {options.steps}.")
    if options.rule not in (None, OWN):
        raise UsageError(f"rule must be {OWN} or left out: the run's, got {options.rule}.")
    if options.rule == OWN and options.learning_rate != ExportOptions.learning_rate:
        raise UsageError("ReckOn's own rule has no --learning-rate. Leave it out.")
    run = open_run(Path(arguments[0]))
    block = stream(build_task(run.config()), options.steps)
    with jax.enable_x64(True):
        done = _written(run, options, block)
    print(f"Library: {done.path} (make -C {done.path} test)")
    if options.rule == OWN:
        print("The device goes on from the run's weights by ReckOn's own rule.")
    else:
        print("The device goes on from the run's weights by plain gradient descent, rate", end=" ")
        print(f"{options.learning_rate:g}, on the squared error to the class.")
    if run.config().learning.rate_strength:
        print("The run's rate regulariser is left out: the library has none.")
    if done.size is not None:
        print(f"Flash {done.size.flash} bytes, RAM {done.size.ram} bytes ({done.size.compiler}).")


def _written(run: RunFolder, options: ExportOptions, block: Block) -> Written:
    """The library in its folder, which `options` has."""
    assert options.out is not None  # asked for before
    if options.rule == OWN:
        with jax.enable_x64(_is_double(run)):
            network = run.network()
        numbers = _numbers(_platform(run, options))
        made = reckon_device(network, numbers, usual_rule(network, numbers))
        return write_reckon(made, block, options.out)
    write = write_real if options.substrate == NAME else write_library
    return write(_device(run, options), block, options.out)


def _platform(run: RunFolder, options: ExportOptions) -> str:
    name = options.substrate or run.config().substrate
    if name is None:
        raise UsageError(
            "The run was ideal, a device is not. Give its numbers: --substrate mcu8, or float32."
        )
    return name


def _device(run: RunFolder, options: ExportOptions) -> Device:
    """The network of a run on the device, with the feedback weights that it learned with."""
    config, name = run.config(), _platform(run, options)
    with jax.enable_x64(_is_double(run)):
        network, rule = run.network(), build_rule(config)
        _, drawn = jax.random.split(jax.random.key(config.seed))  # as Learner.init does
        feedback = rule.signal.init(network, drawn)
    lesson = Lesson(rule, _numbers(name), options.learning_rate, config.seed)
    return device(network, lesson, feedback)


def _numbers(name: str) -> Substrate:
    """Those of a platform on which there can be a learner, or single precision."""
    if name == NAME:
        return replace(IDEAL, name=NAME)
    preset = load(name)
    check_platform(preset)
    return made(preset)


def _is_double(run: RunFolder) -> bool:
    """Whether a run was made in float64."""
    with safe_open(run.path / WEIGHTS, framework="numpy") as file:
        return file.get_tensor(next(iter(file.keys()))).dtype == "float64"
