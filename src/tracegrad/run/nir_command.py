"""NIR on the command line: `tracegrad export nir RUN`, and `tracegrad nir FILE`."""

from dataclasses import dataclass
from pathlib import Path

import jax

from tracegrad.errors import UsageError
from tracegrad.interop import from_nir, rule_from_nir, write_nir
from tracegrad.model import Layer, Network, Readout, SubtractReset
from tracegrad.run.build import build_rule
from tracegrad.run.folder import open_run
from tracegrad.run.options import parse


@dataclass(frozen=True)
class ExportOptions:
    """Write the network of a run, and the rule that trained it, as a NIR graph."""

    out: Path | None = None
    """The file; it must not exist."""
    euler: bool = False
    """Give the time constants with which Euler's method makes the same steps: for simulators
    that use it (Norse, snnTorch, Spyx)."""


@dataclass(frozen=True)
class NirOptions:
    """Say what a NIR graph is as a network here, or why it cannot be one."""

    dt: float | None = None
    """Time step (s); None: the one that the file tells, if tracegrad wrote it."""
    euler: bool | None = None
    """Solve NIR's equations by Euler's method; None: as the file tells, or exactly."""
    subtract: bool = False
    """A spike lowers the membrane by the threshold, where the file does not tell."""


def export_nir(arguments: list[str]) -> None:
    """Write a run as a NIR graph."""
    path, rest = _first("export nir", "RUN --out FILE.nir", arguments)
    options = parse(ExportOptions(), "export nir RUN", rest)
    if options.out is None or options.out.exists():
        raise UsageError(f"--out must name a file that does not exist, got {options.out}.")
    run = open_run(path)
    network, rule = run.network(), build_rule(run.config())
    write_nir(network, options.out, rule, options.euler)
    method = "Euler's method" if options.euler else "exact steps"
    print(f"NIR graph: {options.out}")
    print(f"  time constants for {method} of {network.dt} s; rule {rule.name} in the metadata")
    for line in _not_nir(network):
        print(f"  {line}")


def nir(arguments: list[str]) -> None:
    """Print a NIR graph as a network here."""
    path, rest = _first("nir", "FILE", arguments)
    options = parse(NirOptions(), "nir FILE", rest)
    reset = SubtractReset() if options.subtract else None
    network, rule = from_nir(path, options.dt, options.euler, reset), rule_from_nir(path)
    for index, layer in enumerate(network.layers):
        print(f"layer {index}: {_told(layer)}")
    print(f"readout: {_told(network.readout)}")
    numbers = sum(leaf.size for leaf in jax.tree.leaves(network))
    print(f"{numbers:,} parameters, steps of {network.dt} s; frozen: {_list(network.frozen)}")
    print(f"learning rule: {'none told' if rule is None else f'{rule.name}, {rule.summary}'}")


def _first(command: str, wanted: str, arguments: list[str]) -> tuple[Path, list[str]]:
    """The path that comes first, and the options behind it."""
    if arguments and arguments[0] in ("-h", "--help"):
        return Path(), arguments
    if not arguments or arguments[0].startswith("-"):
        raise UsageError(f"{command} needs a path: tracegrad {command} {wanted}.")
    return Path(arguments[0]), arguments[1:]


def _told(part: Layer | Readout) -> str:
    joined, neuron = part.input, part.neuron
    back = isinstance(part, Layer) and part.recurrent is not None
    reset = type(neuron.reset).__name__
    return (
        f"{joined.inputs} -> {joined.outputs} {type(neuron).__name__} by {type(joined).__name__}"
        + (", recurrent" if back else "")
        + ("" if reset == "NoReset" else f", {reset}")
    )


def _not_nir(network: Network) -> list[str]:
    """What other tools will do otherwise, since NIR has no word for it."""
    lines = []
    for index, layer in enumerate(network.layers):
        neuron = layer.neuron
        reset, first = type(neuron.reset).__name__, getattr(neuron, "reset_first", True)
        if reset == "SubtractReset" or (reset == "ZeroReset" and not first):
            when = "before" if first else "after"
            lines.append(
                f"layer {index} resets by {reset} {when} the leak; NIR's own reset is to 0 before "
                "it, and tools that do not read the metadata will use that"
            )
    return lines


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "nothing"
