import pytest

from tracegrad.data.registry import TASKS

FREE = sorted(name for name, entry in TASKS.items() if not entry.needs_data)


def test_names():
    assert FREE == ["digits", "evidence_accumulation", "pattern_generation"]
    assert sorted(TASKS.keys() - FREE) == ["braille", "spoken_digits"]
    assert all(entry.summary and "\n" not in entry.summary for entry in TASKS.values())


@pytest.mark.parametrize("name", FREE)
def test_free_tasks_are_made_without_arguments(name):
    task = TASKS[name].make()
    assert task.name == name
    xs = next(task.train.batches(2, None)).xs
    assert xs.shape == (task.steps, 2, task.lines)
