"""cost: `tracegrad cost RUN`, what a trained network does on its data, as JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from tracegrad.errors import UsageError
from tracegrad.inspect import Cost, Teaching
from tracegrad.inspect import audit as audit_rule
from tracegrad.inspect import cost as cost_of
from tracegrad.learn.rule import Rule
from tracegrad.model import Network
from tracegrad.run.build import build_rule, build_task
from tracegrad.run.folder import open_run
from tracegrad.run.options import parse
from tracegrad.substrate.presets import Preset, load
from tracegrad.substrate.speed import Work, seconds


@dataclass(frozen=True)
class CostOptions:
    """Count what a run's network does on test data, and what its learning adds."""

    samples: int = 32
    """Test sequences, the first ones."""
    substrate: str | None = None
    """Energy with the cited numbers of this platform: see tracegrad substrates, or FILE.toml."""
    out: Path | None = None
    """Write the numbers to this JSON file, too."""


def cost(arguments: list[str]) -> None:
    """Print the costs of a run as JSON."""
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        raise UsageError("cost needs the folder of a run: tracegrad cost RUN.")
    rest = arguments if arguments[0].startswith("-") else arguments[1:]
    options = parse(CostOptions(), "cost RUN", rest)
    if options.samples < 1:
        raise UsageError(f"--samples must be at least 1, got {options.samples}.")
    preset = None if options.substrate is None else load(options.substrate)
    run = open_run(Path(arguments[0]))
    config, network = run.config(), run.network()
    batch = next(build_task(config).test.batches(options.samples, None))
    rule = build_rule(config)
    teaching = Teaching(
        learns=np.asarray(batch.weight) != 0,
        resolution=_resolution(preset),
        stored=_stored(network, rule),
        stochastic=_stochastic(preset),
    )
    found = cost_of(network, jnp.asarray(batch.xs), np.asarray(batch.valid), teaching)
    numbers = {"task": config.task, "rule": rule.name, **found.to_dict()}
    numbers["energy"] = _energy(found, preset)
    numbers["speed"] = None if preset is None else _speed(found, preset, network.dt)
    text = json.dumps(numbers, indent=1)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n")


def _stored(network: Network, rule: Rule) -> int:
    """Numbers that a synapse keeps for itself under the rule, rounded over all synapses."""
    seen = audit_rule(network, rule)
    return round(seen.memory.traces / seen.synapses)


def _resolution(preset: Preset | None) -> float:
    """Half a bit of the platform's traces; without a format they never vanish."""
    traces = None if preset is None else preset.numbers.traces
    return 0.0 if traces is None else 2.0 ** -(traces.fraction + 1)


def _stochastic(preset: Preset | None) -> bool:
    weights = None if preset is None else preset.numbers.weights
    return weights is not None and weights.rounding.startswith("stochastic")


def _energy(found: Cost, preset: Preset | None) -> dict[str, Any] | None:
    """Modeled energy of inference where the platform has a cited number; the rest is unknown."""
    if preset is None:
        return None
    each = preset.limits.picojoules_per_synaptic_operation
    effective = found.synaptic_operations.effective
    return {
        "platform": preset.name,
        "modeled": True,
        "picojoules_per_synaptic_operation": None if each is None else each.value,
        "source": None if each is None else preset.sources[each.source],
        "synaptic_operations_picojoules": None if each is None else effective * each.value,
        "learning_picojoules": None,
    }


def _speed(found: Cost, preset: Preset, dt: float) -> dict[str, Any]:
    """Steps a second by the platform's cited rate, or by its times of what was counted here.

    Times are added up, as if all was done one after the other. What is not cited is None.
    """
    done = Work(
        found.synaptic_operations.effective / found.steps,
        found.learning.weight_updates / found.steps,
    )
    cited, took = preset.limits.steps_per_second, seconds(preset.limits, done)
    there = cited.value if cited is not None else None if took is None else 1 / took
    return {
        "platform": preset.name,
        "modeled": True,
        "needed_steps_per_second": 1 / dt,
        "steps_per_second": there,
    }
