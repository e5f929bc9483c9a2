"""Keeping checkpoints: through a loss of power, a full disk and damage, one good is always left."""

import errno
import os
import re
import resource
from pathlib import Path

import numpy as np
import pytest

from recorded_disk import Disk, RecordedDisk
from tracegrad.errors import DataError
from tracegrad.run import disk, keeper
from tracegrad.run.checkpoint import Checkpoint, from_bytes
from tracegrad.run.keeper import Keeper

LIMIT = 1 << 20


def state(number: int) -> Checkpoint:
    return Checkpoint({"w": np.full(300, float(number))}, str(number))


def number(found: Checkpoint | None) -> int | None:
    """Which checkpoint it is; what it holds must be what was saved."""
    if found is None:
        return None
    saved = int(found.manifest)
    np.testing.assert_array_equal(found.arrays["w"], state(saved).arrays["w"])
    return saved


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def kept(tmp_path: Path, warnings: list[str]) -> Keeper:
    return Keeper(tmp_path / "checkpoints", "settings", None, warnings.append)


def use(patch: pytest.MonkeyPatch, recorded: RecordedDisk) -> RecordedDisk:
    for module in (disk, keeper):
        patch.setattr(module, "os", recorded)
    return recorded


def test_the_last_two_are_kept(kept, warnings):
    assert kept.newest(LIMIT) is None
    for count in (1, 2, 9, 10, 11):
        kept.save(count, state(count))
    assert [path.name for path in kept.files()] == [
        "000000000011.checkpoint", "000000000010.checkpoint",
    ]  # fmt: skip
    assert number(kept.newest(LIMIT)) == 11 and warnings == []
    assert {path.suffix for path in kept.folder.iterdir()} == {".checkpoint"}
    kept.clear()
    assert not kept.folder.exists() and kept.newest(LIMIT) is None


def test_when_it_is_due(kept, monkeypatch):
    kept.every = 3
    assert [kept.due() for _ in range(3)] == [False, False, True]
    kept.save(3, state(3))
    assert [kept.due() for _ in range(3)] == [False, False, True]
    clock = iter((1000.0, 1059.0, 1060.0))
    monkeypatch.setattr(keeper.time, "monotonic", lambda: next(clock))
    by_time = Keeper(kept.folder, "settings")
    assert [by_time.due() for _ in range(2)] == [False, True]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "zeros", "newer"])
def test_the_one_before_is_used_where_the_newest_is_damaged(kept, warnings, damage):
    for count in (1, 2):
        kept.save(count, state(count))
    newest = kept.files()[0]
    content = bytearray(newest.read_bytes())
    if damage == "flip":
        content[-5] ^= 4
    newest.write_bytes(
        {
            "flip": content,
            "cut": content[:-1],
            "empty": b"",
            "zeros": bytes(len(content)),
            "newer": content.replace(b"checkpoint 1", b"checkpoint 2"),
        }[damage]
    )
    assert number(kept.newest(LIMIT)) == 1
    assert len(warnings) == 1
    assert re.match(
        r"000000000002.checkpoint is damaged.* It is set aside as \*.damaged, and training goes on "
        r"from the one before: .*000000000001.checkpoint\.$",
        warnings[0],
    )
    kept.save(2, state(2))
    kept.save(3, state(3))
    assert [path.name[10:12] for path in kept.files()] == ["03", "02"], "damaged ones do not count"


def test_it_is_refused_where_none_is_good(kept):
    for count in (1, 2):
        kept.save(count, state(count))
    for path in kept.files():
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError) as caught:
        kept.newest(LIMIT)
    assert str(caught.value) == (
        f"No checkpoint in {kept.folder} is good: 000000000002.checkpoint is damaged: its SHA-256 "
        "is another; 000000000001.checkpoint is damaged: its SHA-256 is another. Train again in "
        "another folder."
    )


def recorded_saves(kept: Keeper, patch: pytest.MonkeyPatch, count: int = 4) -> RecordedDisk:
    with patch.context() as context:
        made = use(context, RecordedDisk())
        for saved in range(1, count + 1):
            kept.save(saved, state(saved))
            made.mark(saved)
    return made


def losses_of_power(events: list, folder: Path) -> tuple[int, list[str]]:
    """How many states of a disk were tried, and what was wrong with them."""
    disk_now, told, tried, wrong, done = Disk(), 0, 0, [], set()
    folder.mkdir()
    for event in [("begin", ""), *events]:
        if event[0] == "told":
            told = event[1]
        else:
            disk_now.apply(event)
        for files in disk_now.after_power_loss():
            once = (told, frozenset(files.items()))
            if once in done:
                continue
            done.add(once)
            tried += 1
            for old in folder.iterdir():
                old.unlink()
            for name, content in files.items():
                (folder / Path(name).name).write_bytes(content)
            try:
                found = number(Keeper(folder, "", None, lambda _: None).newest(LIMIT))
            except DataError as error:
                wrong.append(str(error))
                continue
            if (found or 0) < told:
                wrong.append(f"{told} was said to be saved, {found} was found")
    return tried, wrong


def test_no_loss_of_power_loses_what_was_saved(kept, monkeypatch, tmp_path, record_property):
    events = recorded_saves(kept, monkeypatch).events
    kinds = [event[0] for event in events]
    assert kinds.count("replace") == 4 and kinds.count("unlink") == 2 and "fsync" in kinds
    tried, wrong = losses_of_power(events, tmp_path / "after")
    assert wrong == [] and tried > 30
    record_property("power_losses", tried)


@pytest.mark.parametrize("folders", [True, False], ids=["of folders", "of files"])
def test_without_an_fsync_the_same_check_fails(kept, monkeypatch, tmp_path, folders):
    """The control: the record as it would be if one kind of fsync were left out."""
    events = recorded_saves(kept, monkeypatch).events
    left = [e for e in events if e[0] != "fsync" or e[1].endswith(".part") is folders]
    assert len(left) < len(events)
    assert losses_of_power(left, tmp_path / "after")[1]


def test_written_in_place_the_same_check_fails(kept, monkeypatch, tmp_path):
    """The control: no file beside it and no rename, though all is synced."""

    def in_place(path: Path, content: bytes) -> None:
        disk._fill(path, content, os.O_TRUNC)
        disk.settle(path.parent)

    monkeypatch.setattr(disk, "write", in_place)
    made = recorded_saves(kept, monkeypatch, 1)
    with monkeypatch.context() as context:
        made = use(context, made)
        kept.save(1, state(1))
    assert losses_of_power(made.events, tmp_path / "after")[1]


FAULTS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES, errno.EDQUOT)


@pytest.mark.parametrize("code", FAULTS, ids=[errno.errorcode[code] for code in FAULTS])
def test_a_disk_that_fails_at_any_call_is_a_warning(
    kept, warnings, code, monkeypatch, record_property
):
    """What was kept before is still good, and the next checkpoint is kept."""
    kept.save(1, state(1))
    kept.save(2, state(2))
    with monkeypatch.context() as context:
        calls = use(context, RecordedDisk())
        kept.save(3, state(3))
    assert calls.calls > 7
    failed = 0
    for call in range(calls.calls):
        before = len(warnings)
        with monkeypatch.context() as context:
            use(context, RecordedDisk(call, code))
            kept.save(4 + call, state(4 + call))
        assert len(warnings) == before + 1
        failed += 1
        assert os.strerror(code) in warnings[-1] and warnings[-1].endswith("Training goes on.")
        fresh = Keeper(kept.folder, "settings", None, lambda _: None)
        assert number(fresh.newest(LIMIT)) in (3 + call, 4 + call)
        kept.save(4 + call, state(4 + call))
        assert len(warnings) == before + 1 and number(kept.newest(LIMIT)) == 4 + call
    assert failed == calls.calls
    record_property("disk_faults", failed)


def test_a_file_that_may_not_grow_is_a_warning(kept, warnings):
    """A limit of the real system, at which a write takes a part and the next one fails."""
    kept.save(1, state(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        kept.save(2, state(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(warnings) == 1 and "000000000002.checkpoint could not be written: File too large. " \
        f"The last is {kept.files()[0]}. Training goes on." in warnings[0]  # fmt: skip
    assert number(kept.newest(LIMIT)) == 1
    assert [path.name for path in kept.folder.iterdir()] == ["000000000001.checkpoint"]


def test_an_error_of_a_write_names_the_file(tmp_path, monkeypatch):
    use(monkeypatch, RecordedDisk(1, errno.ENOSPC))
    with pytest.raises(OSError, match="No space left") as caught:
        disk.append(tmp_path / "metrics.jsonl", b"line\n")
    assert caught.value.filename == str(tmp_path / "metrics.jsonl")


def test_every_byte_of_the_newest_damaged_falls_back(kept, record_property):
    """Through the keeper, a sample of places; every place is tried on the file alone."""
    small = Checkpoint({"w": np.zeros(2)}, "0")
    kept.save(1, small)
    kept.save(2, Checkpoint({"w": np.ones(2)}, "0"))
    newest = kept.files()[0]
    content = newest.read_bytes()
    kept.warn = lambda _: None
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 0x20
        newest.write_bytes(damaged)
        found = kept.newest(LIMIT)
        assert found is not None and not found.arrays["w"].any()
    assert from_bytes(content, "it").arrays["w"].all()
    record_property("recovered", len(range(0, len(content), 7)))
