from functools import cache

import numpy as np
import pytest

from tracegrad.data.registry import TASKS
from tracegrad.data.task import Task

FREE = sorted(name for name, entry in TASKS.items() if not entry.needs_data)
SYNTHETIC = [name for name in FREE if name != "digits"]


@cache
def made(name: str) -> Task:
    return TASKS[name].make()


def test_names():
    assert FREE == [
        "add",
        "adding_problem",
        "copy_curriculum",
        "copy_memory",
        "copy_pattern",
        "delayed_xor_0",
        "delayed_xor_100",
        "delayed_xor_500",
        "digits",
        "evidence_accumulation",
        "evidence_accumulation_lif",
        "match_to_sample",
        "mimic",
        "pattern_generation",
        "randman",
        "randman_rate",
        "store_recall",
        "target_trains",
        "tempotron",
        "yin_yang",
    ]
    assert sorted(TASKS.keys() - FREE) == [
        "basic_motions",
        "braille",
        "cochlea_speech",
        "dvs_gesture",
        "ecg_qtdb",
        "ecg_qtdb_published",
        "japanese_vowels",
        "nmnist",
        "nmnist_small",
        "permuted_mnist",
        "sequential_mnist",
        "sequential_mnist_pixels",
        "shd",
        "speech_commands",
        "spoken_digits",
        "ssc",
    ]
    assert all(bool(entry.folder) == entry.needs_data for entry in TASKS.values())
    assert all(entry.summary and "\n" not in entry.summary for entry in TASKS.values())


@pytest.mark.parametrize("name", FREE)
def test_free_tasks_are_made_without_arguments(name):
    task = made(name)
    assert task.name == name
    xs = next(task.train.batches(2, None)).xs
    assert xs.shape == (task.steps, 2, task.lines)


@pytest.mark.parametrize("name", SYNTHETIC)
def test_same_seed_same_bits_and_labels_that_exist(name):
    task = made(name)
    first, again = (task.sample(3) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert first.xs.dtype in (np.uint8, np.float32)  # counts, or any values
    assert first.weight.dtype == np.float32 and first.valid.dtype == np.bool_
    assert not first.weight[~first.valid].any() and not first.xs[~first.valid].any()
    frozen = name in ("pattern_generation", "target_trains")
    assert frozen == all((task.sample(seed).xs == first.xs).all() for seed in range(4, 12))
    if task.classifies:
        assert first.ys.dtype == np.int32 and first.weight.sum() == pytest.approx(1, rel=1e-5)
        assert 0 <= first.ys.min() and first.ys.max() < task.outputs
        assert task.floors, "a task of classes says at least what chance is"
    else:
        assert first.ys.shape == (task.steps, 1, task.outputs)


@pytest.mark.parametrize("name", SYNTHETIC)
def test_training_and_test_draws_differ(name):
    """But where a fixed set is learned by heart."""
    task = made(name)
    first, second = (next(s.batches(2, None)).xs for s in (task.train, task.test))
    by_heart = name in ("pattern_generation", "target_trains", "tempotron")
    assert by_heart == bool((first[:, :1] == second[:, :1]).all())
