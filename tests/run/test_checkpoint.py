"""A checkpoint file: every bit comes back, and no damage is ever loaded."""

import json
from hashlib import sha256

import jax.numpy as jnp
import numpy as np
import pytest
from jax import random
from safetensors.numpy import save

from leaves import assert_same_leaves, same_arrays, tree
from tiny import POSITION
from tracegrad.errors import DataError
from tracegrad.run.checkpoint import (
    FIRST_LINE,
    HEAD,
    Checkpoint,
    DamagedError,
    from_bytes,
    read,
    to_bytes,
)
from tracegrad.run.flat import flatten, unflatten
from tracegrad.run.position import Position

SMALL = Checkpoint(
    {"w": np.arange(6.0).reshape(2, 3), "n": np.asarray(-3, np.int32), "none": np.zeros((0, 2))},
    '{"note": "weights of two neurons"}',
)


def same(ours: Checkpoint, theirs: Checkpoint) -> bool:
    return ours.manifest == theirs.manifest and same_arrays(ours.arrays, theirs.arrays)


def test_a_checkpoint_comes_back():
    assert same(from_bytes(to_bytes(SMALL), "it"), SMALL)


def test_every_flip_of_every_byte_is_refused(record_property):
    content = to_bytes(SMALL)
    bits = 1 << np.random.default_rng(0).integers(0, 8, len(content))
    for place, bit in enumerate(bits):
        damaged = bytearray(content)
        damaged[place] ^= int(bit)
        with pytest.raises(DamagedError, match="it is damaged"):
            from_bytes(bytes(damaged), "it")
    record_property("flips", len(content))


def test_every_truncation_and_every_addition_is_refused(record_property):
    content = to_bytes(SMALL)
    for end in range(len(content)):
        with pytest.raises(DamagedError, match="it is damaged"):
            from_bytes(content[:end], "it")
    with pytest.raises(DamagedError):
        from_bytes(content + b"\0", "it")
    record_property("truncations", len(content))


def test_what_safetensors_alone_would_load_wrong():
    """The control: without the digest, most flips in the arrays go through unseen."""
    content, silent = to_bytes(SMALL), 0
    for place in range(len(content) - 52, len(content)):  # the arrays lie at the end
        damaged = bytearray(content)
        damaged[place] ^= 1
        body = bytes(damaged[HEAD:])
        resigned = FIRST_LINE + sha256(body).hexdigest().encode() + b"\n" + body
        silent += not same(from_bytes(resigned, "it"), SMALL)
    assert silent == 52


def test_two_checkpoints_mixed_are_refused():
    other = SMALL._replace(arrays=SMALL.arrays | {"w": np.zeros((2, 3))})
    ours, theirs = to_bytes(SMALL), to_bytes(other)
    assert len(ours) == len(theirs)
    half = len(ours) // 2
    for mixed in (ours[:half] + theirs[half:], theirs[:HEAD] + ours[HEAD:]):
        with pytest.raises(DamagedError, match="SHA-256"):
            from_bytes(mixed, "it")


def signed(body: bytes) -> bytes:
    """What somebody makes who knows the format."""
    return FIRST_LINE + sha256(body).hexdigest().encode() + b"\n" + body


HOSTILE = {
    "no arrays": b"",
    "no header": b"\xff" * 64,
    "a header of 2^60 bytes": (1 << 60).to_bytes(8, "little") + b"{}",
    "no manifest": save({"w": np.zeros(2)}),
    "a manifest that is no text": save({"manifest": np.full(4, 255, np.uint8)}),
    "an array of 8 GiB that is not there": (lambda h: len(h).to_bytes(8, "little") + h)(
        b'{"w":{"dtype":"F64","shape":[1073741824],"data_offsets":[0,8589934592]}}'
    ),
    "a type of another library": (lambda h: len(h).to_bytes(8, "little") + h + b"\0")(
        b'{"manifest":{"dtype":"F8_E5M2","shape":[1],"data_offsets":[0,1]}}'
    ),
    "a pickle": b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system.",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused(body):
    with pytest.raises(DamagedError, match="it is no checkpoint"):
        from_bytes(signed(body), "it")


def test_a_file_is_read_up_to_what_it_can_need(tmp_path):
    path = tmp_path / "it"
    path.write_bytes(to_bytes(SMALL))
    size = path.stat().st_size
    assert same(read(path, size), SMALL)
    with pytest.raises(DamagedError, match=f"larger than the {size - 1} bytes"):
        read(path, size - 1)
    with pytest.raises(DamagedError, match="cannot be read: Is a directory"):
        read(tmp_path, size)


def test_every_kind_of_leaf_comes_back():
    ours = tree(random.key(3))
    blank = tree(random.key(4))
    assert not same_arrays(flatten(ours), flatten(blank))
    found = from_bytes(to_bytes(Checkpoint(flatten(ours), "")), "it").arrays
    back = unflatten(blank, found, "it")
    assert same_arrays(flatten(back), flatten(ours))
    assert_same_leaves(back, ours)
    assert jnp.array_equal(random.normal(back["keys"][1, 2]), random.normal(ours["keys"][1, 2]))


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"a": np.zeros(2)}, "it is of another learner: it has less than it: b"),
        (
            {"a": np.zeros(2), "b": np.zeros(1), "c": np.zeros(1)},
            "it is of another learner: it has more than it: c",
        ),
        ({"a": np.zeros(3), "b": np.zeros(1)}, r"a must be float64 of shape \(2,\), got .*\(3,\)"),
        ({"a": np.zeros(2, np.float32), "b": np.zeros(1)}, "a must be float64 .* got float32"),
    ],
)
def test_a_state_of_another_learner_is_refused(found, message):
    with pytest.raises(DataError, match=message):
        unflatten({"a": jnp.zeros(2), "b": jnp.zeros(1)}, found, "it")


def test_a_position_comes_back():
    back = Position.from_text(POSITION.to_json(), "it")
    assert back == POSITION
    rng = np.random.default_rng(9)
    rng.bit_generator.state = back.order
    assert rng.random() == np.random.default_rng(0).random()


WRONG = {
    "{": "Expecting property name",
    "[]": "it must be Position, got",
    "[" * 100_000: "nested too deeply",
    '{"a": NaN}': "NaN is no number",
    '{"a": 1, "a": 1}': "a key is there twice",
    '{"a": 1}': "it must have config, data, .* is wrong in a",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items(), ids=range(len(WRONG)))
def test_a_manifest_is_read_strictly(text, message):
    with pytest.raises(DataError, match=f"it: its manifest is wrong: .*{message}"):
        Position.from_text(text, "it")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("number", True), ("number", 1.0), ("number", None), ("level", "1"), ("elapsed", 1),
        ("epochs", {}), ("epochs", [1]), ("made", {"jax": 1}), ("tally", []), ("tally", {}),
        ("order", []),
    ],
)  # fmt: skip
def test_a_manifest_with_a_value_of_another_type_is_refused(name, value):
    table = json.loads(POSITION.to_json()) | {name: value}
    with pytest.raises(DataError, match="its manifest is wrong"):
        Position.from_text(json.dumps(table), "it")


def test_other_settings_and_other_data_are_refused():
    POSITION.check("c", "d", "it")
    with pytest.raises(DataError, match="it is of other settings"):
        POSITION.check("x", "d", "it")
    with pytest.raises(DataError, match="it is of other data"):
        POSITION.check("c", "x", "it")
    assert POSITION.other({"jax": "1"}) == ""
    assert POSITION.other({"jax": "2"}) == "jax was 1, is 2"
