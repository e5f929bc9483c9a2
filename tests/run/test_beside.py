"""Arrays beside their checkpoint: the same promises as inside its file. Needs the extra orbax."""

import errno
import json
import os
import re
import resource
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from killing import case, kill, survives
from leaves import assert_same_leaves, same_arrays, tree
from recorded_disk import RecordedDisk
from tiny import TINY
from tracegrad.errors import DataError
from tracegrad.run import beside, disk, keeper, storage
from tracegrad.run.build import build_learner
from tracegrad.run.checkpoint import Checkpoint, DamagedError
from tracegrad.run.cli import main
from tracegrad.run.flat import flatten
from tracegrad.run.keeper import Keeper
from tracegrad.run.train import train

from .test_resume import CutError, assert_same, cut

LIMIT = 1 << 20
REASON = "needs the extra orbax: python -m pip install 'tracegrad[orbax]'"


@pytest.fixture(autouse=True)
def _orbax(request: pytest.FixtureRequest) -> None:
    if "without_orbax" not in request.node.name:
        pytest.importorskip("orbax.checkpoint", reason=REASON)


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def kept(tmp_path: Path, warnings: list[str]) -> Keeper:
    return Keeper(tmp_path / "checkpoints", "settings", None, warnings.append, beside.put)


def state(number: int) -> dict:
    return {"w": jnp.full(30, float(number)), "n": np.asarray(number)}


def save(kept: Keeper, number: int) -> None:
    arrays = kept.arrays(number, state(number))
    if arrays is not None:
        kept.save(number, Checkpoint(arrays, str(number)))


def number(kept: Keeper) -> int | None:
    """Which checkpoint it is; what it holds must be what was saved."""
    found = kept.newest(LIMIT)
    if found is None:
        return None
    saved = int(found.manifest)
    assert same_arrays(flatten(kept.take(found, state(0))), flatten(state(saved)))
    return saved


def beside_files(kept: Keeper) -> list[Path]:
    """The files beside the newest."""
    folder = max(kept.folder.glob("*.orbax"))
    return sorted(path for path in folder.rglob("*") if path.is_file())


def names(kept: Keeper) -> list[str]:
    return sorted(path.name.lstrip("0") for path in kept.folder.iterdir())


def test_every_kind_of_leaf_comes_back(kept):
    ours, blank = tree(random.key(3)), tree(random.key(4))
    arrays = kept.arrays(1, ours)
    assert arrays is not None and arrays.keys() == {beside.BESIDE}
    kept.save(1, Checkpoint(arrays, ""))
    found = kept.newest(LIMIT)
    assert found is not None
    back = kept.take(found, blank)
    assert same_arrays(flatten(back), flatten(ours)) and not same_arrays(
        flatten(blank), flatten(ours)
    )
    assert_same_leaves(back, ours)
    assert jnp.array_equal(random.normal(back["keys"][1, 2]), random.normal(ours["keys"][1, 2]))


def test_the_last_two_are_kept_with_what_lies_beside_them(kept, warnings):
    for count in (1, 2, 9, 10, 10):
        save(kept, count)
    assert names(kept) == ["10.1.orbax", "10.checkpoint", "9.0.orbax", "9.checkpoint"]
    assert number(kept) == 10 and warnings == []


def test_what_a_kill_left_is_never_used_and_dropped(kept):
    """Folders that are whole or half, of a number to come and of one that is kept."""
    save(kept, 1)
    beside.put(kept.folder, 1, state(7))
    beside.put(kept.folder, 2, state(7))
    (kept.folder / "000000000002.1.orbax-checkpoint-tmp").mkdir()
    assert number(kept) == 1
    save(kept, 2)
    assert number(kept) == 2
    assert names(kept) == ["1.0.orbax", "1.1.orbax", "1.checkpoint", "2.2.orbax", "2.checkpoint"]
    save(kept, 3)
    assert number(kept) == 3
    assert names(kept) == ["2.2.orbax", "2.checkpoint", "3.0.orbax", "3.checkpoint"]


def test_every_byte_beside_the_newest_damaged_falls_back(kept, warnings, record_property):
    save(kept, 1)
    save(kept, 2)
    newest, count = kept.files()[0], 0
    content = newest.read_bytes()
    found = kept.good(newest, LIMIT)
    for file in beside_files(kept):
        good = file.read_bytes()
        for place in range(len(good)):
            damaged = bytearray(good)
            damaged[place] ^= 1 << place % 8
            file.write_bytes(damaged)
            with pytest.raises(DamagedError, match="the SHA-256 of .* is another"):
                beside.check(kept.folder, found.arrays[beside.BESIDE], LIMIT, "it")
            count += 1
        assert number(kept) == 1
        newest.write_bytes(content)  # it was set aside
        file.write_bytes(good)
    assert number(kept) == 2 and len(warnings) == len(beside_files(kept))
    record_property("flips_beside", count)


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def linked(file: Path) -> None:
    """To the same bytes elsewhere."""
    other = file.parents[2] / "other"
    file.rename(other)
    file.symlink_to(other)


def piped(file: Path) -> None:
    """To read from it would take for ever."""
    file.unlink()
    os.mkfifo(file)


def moved_away(file: Path) -> None:
    folder = next(path for path in file.parents if path.suffix == ".orbax")
    folder.rename(folder.with_suffix(".away"))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "is another": cut_short,
    "has less than it": Path.unlink,
    "has more than it: .*new": lambda file: file.with_name("new").write_bytes(b""),
    "manifest.ocdbt is no plain file": linked,
    "/manifest.ocdbt is no plain file": piped,
    "has less than it: _": moved_away,
}


@pytest.mark.parametrize(("message", "damage"), DAMAGE.items(), ids=range(len(DAMAGE)))
def test_the_one_before_is_used_where_what_lies_beside_is_damaged(kept, warnings, message, damage):
    save(kept, 1)
    save(kept, 2)
    file = next(path for path in beside_files(kept) if path.name == "manifest.ocdbt")
    damage(file)
    assert number(kept) == 1
    assert len(warnings) == 1 and warnings[0].startswith("000000000002.checkpoint is damaged: ")
    assert re.search(message, warnings[0]) and "training goes on from the one before" in warnings[0]


def test_more_than_it_can_need_is_not_read(kept):
    save(kept, 1)
    size = sum(file.stat().st_size for file in beside_files(kept))
    said = kept.good(kept.files()[0], LIMIT).arrays[beside.BESIDE]
    beside.check(kept.folder, said, size, "it")
    with pytest.raises(DamagedError, match=f"0.orbax is larger than the {size - 1} bytes"):
        beside.check(kept.folder, said, size - 1, "it")


SAID = {
    '{"folder": "../000000000001.0.orbax", "files": {}}': "does not lie beside it",
    '{"folder": "/000000000001.0.orbax", "files": {}}': "does not lie beside it",
    '{"folder": "000000000001.0.orbax"}': "must have folder, files, is wrong in files",
    '{"folder": "000000000001.0.orbax", "files": {"a": 1}}': "must be Part, got 1",
    "[" * 9999: "nested too deeply",
}


@pytest.mark.parametrize(("text", "message"), SAID.items(), ids=range(len(SAID)))
def test_what_is_said_of_it_is_read_strictly_without_orbax(tmp_path, text, message):
    said = np.frombuffer(text.encode(), np.uint8)
    with pytest.raises(DamagedError, match=f"it is damaged: .*{message}"):
        beside.check(tmp_path, said, LIMIT, "it")


@pytest.mark.parametrize(
    ("blank", "message"),
    [
        ({"w": jnp.zeros(30)}, "is of another learner: it has more than it: n"),
        ({"w": jnp.zeros(31), "n": np.asarray(0)}, r"w must be float64 of shape \(31,\), got .*30"),
        ({"w": jnp.zeros(30, "float32"), "n": np.asarray(0)}, "w must be float32 .* got float64"),
    ],
)
def test_a_state_of_another_learner_is_refused(kept, blank, message):
    save(kept, 1)
    found = kept.newest(LIMIT)
    with pytest.raises(DataError, match=message):
        kept.take(found, blank)


def test_what_orbax_cannot_read_is_one_sentence(kept):
    """With digests that hold, as of somebody who knows the format, or of another version of it."""
    save(kept, 1)
    file = next(path for path in beside_files(kept) if path.name == "_METADATA")
    file.write_text('{"tree_metadata": {"a": 1}}')
    path = kept.files()[0].name
    about = beside.Beside(file.parent.name, {})
    said = np.frombuffer(json.dumps(asdict(about)).encode(), np.uint8)
    kept.last = kept.folder / path
    with pytest.raises(DataError, match=f"{path}: orbax cannot read what lies beside it: "):
        kept.take(Checkpoint({beside.BESIDE: said}, ""), state(0))


def use(patch: pytest.MonkeyPatch, recorded: RecordedDisk) -> RecordedDisk:
    for module in (disk, keeper):
        patch.setattr(module, "os", recorded)
    return recorded


def unsettled(kept: Keeper, patch: pytest.MonkeyPatch) -> set[str]:
    """What has not reached the disk when the checkpoint's file takes its name."""
    with patch.context() as context:
        events = use(context, RecordedDisk()).events
        save(kept, 1)
    named = [kind for kind, *_ in events].index("replace")
    settled = {path for kind, path, *_ in events[:named] if kind == "fsync"}
    folder = kept.folder / "000000000001.0.orbax"
    return {str(path) for path in (kept.folder, folder, *folder.rglob("*"))} - settled


def test_all_that_lies_beside_is_on_the_disk_before_it_counts(kept, monkeypatch):
    assert unsettled(kept, monkeypatch) == set()


def test_without_an_fsync_the_same_check_fails(kept, monkeypatch):
    """The control: orbax itself lets nothing reach the disk."""
    monkeypatch.setattr(disk, "settle_all", lambda folder: None)
    assert len(unsettled(kept, monkeypatch)) > 9


def test_a_disk_that_fails_at_any_call_is_a_warning(kept, warnings, monkeypatch, record_property):
    save(kept, 1)
    save(kept, 2)
    with monkeypatch.context() as context:
        recorded = use(context, RecordedDisk())
        save(kept, 3)
    calls = recorded.calls
    assert calls > 40
    for call in range(0, calls, 5):
        before = len(warnings)
        with monkeypatch.context() as context:
            use(context, RecordedDisk(call, errno.ENOSPC))
            save(kept, 4 + call)
        assert len(warnings) == before + 1
        assert "No space left" in warnings[-1] and warnings[-1].endswith("Training goes on.")
        fresh = Keeper(kept.folder, "settings", None, lambda _: None)
        assert number(fresh) in (3 + max(0, call - 4), 4 + call)
        save(kept, 4 + call)
        assert len(warnings) == before + 1 and number(kept) == 4 + call
    record_property("disk_faults_beside", len(range(0, calls, 5)))


def test_a_file_that_may_not_grow_is_a_warning_and_nothing_else(kept, warnings, capfd, caplog):
    """A limit of the real system, which meets what orbax writes."""
    save(kept, 1)
    noise = {"w": jnp.asarray(np.random.default_rng(0).random(1000))}  # nothing makes it smaller
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        assert kept.arrays(2, noise) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(warnings) == 1 and warnings[0].endswith(
        f"000000000002.checkpoint could not be written: File too large. The last is "
        f"{kept.files()[0]}. Training goes on."
    )
    assert "".join(capfd.readouterr()) == "" and caplog.records == []
    assert number(kept) == 1
    save(kept, 3)
    assert number(kept) == 3
    assert names(kept) == ["1.0.orbax", "1.checkpoint", "3.0.orbax", "3.checkpoint"]


def test_a_training_goes_on_to_the_same_bits_in_either_format(tiny, tmp_path, monkeypatch):
    """From a folder, then from a file, then from a folder again, as asked, and as it was."""
    config = TINY
    learner = build_learner(config, tiny)
    whole = train(learner, config, tiny)
    warnings: list[str] = []

    def keeper(put: storage.Put | None) -> Keeper:
        return Keeper(tmp_path / "checkpoints", "settings", 3, warnings.append, put)

    def stored() -> int:
        newest = keeper(None).files()[0]
        return len(list(newest.parent.glob(f"{newest.stem}*.orbax")))

    for put, (epoch, batch), count in (
        (beside.put, (2, 2), 1), (None, (3, 2), 1), (storage.inside, (4, 1), 0), (None, (5, 1), 0)
    ):  # fmt: skip
        with pytest.raises(CutError):
            train(learner, config, tiny, cut(epoch, batch), keeper(put))
        assert stored() == count
    assert_same(train(learner, config, tiny, keeper=keeper(beside.put)), whole)
    assert warnings == [] and stored() == 1


def test_the_command_line_says_what_it_needs_without_orbax(monkeypatch, capsys):
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("tracegrad.data.extras.import_module", missing)
    assert main(["train", "digits", "--checkpoint-format", "orbax", "--out", "nowhere"]) == 2
    assert capsys.readouterr().err == (
        "tracegrad: Checkpoints beside their file need the package orbax.checkpoint, which is not "
        "installed. Run: python -m pip install 'tracegrad[orbax]'.\n"
    )
    assert not Path("nowhere").exists()


GIVEN = case("eprop", substrate="mcu8", epochs=10)._replace(format="orbax")


def test_a_killed_run_comes_to_the_same_bytes(lives, tmp_path, record_property):
    done = survives(lives, tmp_path, GIVEN, 7)
    assert done.damaged == 0 and done.overlapped >= 1
    record_property("kills_beside", done.kills)
    record_property("kills_beside_within_a_write", done.overlapped)


def test_the_control_that_writes_over_the_one_before_fails_the_same_check(lives, tmp_path):
    assert kill(lives, tmp_path / "run", GIVEN, 30, control=True).damaged >= 1


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["block_diagonal", "uoro"])
def test_thirty_kills_each(lives, rule, tmp_path, record_property):
    given = case(rule, epochs=60)._replace(format="orbax")
    done = survives(lives, tmp_path, given, 30)
    assert done.damaged == 0 and done.overlapped >= 5
    record_property("kills_beside", done.kills)
    record_property("kills_beside_within_a_write", done.overlapped)
