"""Propose: the settings that the next trial of a tuning tries, by optuna."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tracegrad.errors import UsageError
from tracegrad.study.study import Range, Tuning


class Trial(NamedTuple):
    """What was tried and how good it was, higher is better; None: it failed."""

    tried: dict[str, Any]
    score: float | None


def propose(tuning: Tuning, group: Mapping[str, Any], past: Sequence[Trial]) -> dict[str, Any]:
    """The next settings to try: tree-structured Parzen estimator, the first ten at random.

    It depends on the group's settings and its past alone, so a study that was killed proposes what
    it would have proposed. Two groups draw different numbers. `UsageError` without optuna.
    """
    optuna = need_optuna()
    seed = json.dumps([dict(group), len(past)], sort_keys=True).encode()
    sampler = optuna.samplers.TPESampler(
        seed=int.from_bytes(hashlib.sha256(seed).digest()[:4], "big")
    )
    study = optuna.create_study(sampler=sampler, direction="maximize")
    ranges = {name: _distribution(optuna, kind) for name, kind in tuning.parameters.items()}
    state = optuna.trial.TrialState
    for tried, score in past:
        study.add_trial(
            optuna.trial.create_trial(
                params=tried,
                distributions=ranges,
                value=score,
                state=state.FAIL if score is None else state.COMPLETE,
            )
        )
    return dict(study.ask(ranges).params)


def best(past: Sequence[Trial]) -> dict[str, Any]:
    """The settings of the best trial, the first of equals; nothing where all failed."""
    scored = [(trial.score, trial.tried) for trial in past if trial.score is not None]
    return max(scored, key=lambda pair: pair[0])[1] if scored else {}


def need_optuna() -> Any:
    """The module; `UsageError` says how to get it."""
    try:
        import optuna
    except ImportError as error:
        raise UsageError(
            "A study with tuning needs optuna. Install it with: pip install 'tracegrad[study]'."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _distribution(optuna: Any, kind: Range) -> Any:
    if kind.among:
        return optuna.distributions.CategoricalDistribution(kind.among)
    return optuna.distributions.FloatDistribution(kind.low, kind.high, log=kind.log)
