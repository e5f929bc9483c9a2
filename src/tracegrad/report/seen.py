"""Seen: everything that a report tells of a run, from its folder."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tracegrad.inspect import Audit, Fidelity, Trial, audit, fidelity
from tracegrad.model import Network
from tracegrad.run.build import build_rule, loss_for
from tracegrad.run.changes import Change, changes
from tracegrad.run.config import Config
from tracegrad.run.folder import RunFolder, Summary
from tracegrad.run.record import Record
from tracegrad.run.train import Epoch

LAGS = 16  # lags that fidelity resolves one by one
LARGEST = 2e9  # weights times steps times lags that fidelity is computed for: about ten seconds
UNRECORDED = "No sequence was recorded: the run was made with --no-pictures or by an older version."


@dataclass(frozen=True)
class Seen:
    """A finished run. In place of an instrument's finding stands a sentence that says why not."""

    label: str
    config: dict[str, Any]  # by dotted name
    changes: Sequence[Change]  # made while it trained
    environment: dict[str, Any]
    epochs: Sequence[Epoch]
    summary: Summary
    confusion: Float[np.ndarray, "o o"] | None
    record: Record | None
    fidelity: Fidelity | str
    audit: Audit | str


def see(folder: RunFolder, label: str, instruments: bool) -> Seen:
    """Read a run, and let the instruments look at its network, some seconds each, if wanted.

    `DataError` for a run that is unfinished or damaged.
    """
    summary, config, network = folder.summary(), folder.config(), folder.network()
    record = folder.record()
    skipped = "Left out, as asked for by --no-instruments."
    return Seen(
        label=label,
        config=flat(asdict(config)),
        changes=changes(folder.path),
        environment=folder.environment(),
        epochs=folder.epochs(),
        summary=summary,
        confusion=folder.confusion(),
        record=record,
        fidelity=_fidelity(config, network, record) if instruments else skipped,
        audit=_audit(config, network) if instruments else skipped,
    )


def labels(paths: Sequence[Path]) -> list[str]:
    """A short name for every run: that of its folder, or the whole path where names repeat."""
    names = [path.resolve().name for path in paths]
    return [n if names.count(n) == 1 else str(p) for n, p in zip(names, paths, strict=True)]


def flat(table: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Nested tables as one, by dotted name."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{above}{key}"
        found |= flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return found


def _audit(config: Config, network: Network) -> Audit | str:
    try:
        return audit(network, build_rule(config))
    except (ValueError, TypeError) as error:
        return str(error)


def _fidelity(config: Config, network: Network, record: Record | None) -> Fidelity | str:
    """The trained network's gradients on the recorded sequence, in float64."""
    if record is None:
        return UNRECORDED
    if config.substrate is not None:
        return "Left out: on a substrate the stored weights are not the network that computes."
    work = sum(leaf.size for leaf in jax.tree.leaves(network)) * len(record.inputs) * LAGS
    if work > LARGEST:
        return (
            "Left out: the network and the sequence are too large for it to be quick. Judge the "
            "rule on a smaller network: tracegrad fidelity NEURON."
        )
    with jax.enable_x64(True):
        one = record.targets[:, None]
        classes = np.issubdtype(one.dtype, np.integer)
        weight, xs = _real(record.weight[:, None]), _real(record.inputs[:, None])
        ys = jnp.asarray(one) if classes else _real(one)
        trial, loss = Trial(weight=weight, lags=LAGS), loss_for(config, classes)
        try:
            wide = jax.tree.map(_real, network)
            return fidelity(wide, build_rule(config), xs, ys, loss, trial)
        except (ValueError, TypeError) as error:
            return str(error)


def _real(values: Any) -> Array:
    return jnp.asarray(values, float)
