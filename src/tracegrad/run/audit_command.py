"""audit: `tracegrad audit RULE`, what a rule costs on a network, and whom it needs."""

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path

from tracegrad.errors import UsageError
from tracegrad.inspect import audit as audit_rule
from tracegrad.model import Network
from tracegrad.run.build import Ends, build_network
from tracegrad.run.config import Config, LearningConfig, NetworkConfig
from tracegrad.run.hosting import expressed, hosted
from tracegrad.run.named_rule import rule_and_options


@dataclass(frozen=True)
class AuditOptions:
    """Price a rule on a network of one neuron: memory, operations, and whom it needs."""

    neuron: str = "CubaLIF"
    """Which neuron: FILE.py:Class, or one of tracegrad neurons."""
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
    substrate: str | None = None
    """Say whether this platform can host it: see tracegrad substrates, or FILE.toml."""
    out: Path | None = None
    """Write the numbers to this JSON file."""


def audit(arguments: list[str]) -> None:
    """Print what a rule costs, and whom a weight change needs."""
    rule, options = rule_and_options("audit", AuditOptions(), arguments)
    network = _network(options)
    try:
        found = audit_rule(network, rule)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error
    print(found)
    numbers = found.to_dict()
    if options.substrate is not None:
        told = expressed(network, rule, options.substrate)
        fit = hosted(network, found, options.substrate, told)
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


def _network(options: AuditOptions) -> Network:
    lines = options.inputs if options.shape is None else prod(options.shape)
    settings = NetworkConfig(
        conv=options.conv, hidden=options.hidden, neuron=options.neuron, recurrent=options.recurrent
    )
    ends = Ends(lines, options.outputs, 1e-3, options.shape)
    return build_network(
        Config(network=settings, learning=LearningConfig(learn_neurons=True)), ends
    )
