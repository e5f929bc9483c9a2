"""What is fuzzed: every reader of bytes from elsewhere, with small good ones to begin from.

A reader takes any bytes: it reads them, or raises the error that it promises, and nothing else.
Left out is HDF5, whose own library reads the structure of a file and can crash on a damaged one.
"""

import atexit
import gzip
import io
import json
import os
import shutil
import socket
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.io import wavfile

import event_files as files
from tiny import POSITION
from tracegrad.data.archive import unpack
from tracegrad.data.formats.aedat2 import read_aedat2
from tracegrad.data.formats.aedat3 import LABELS, read_aedat3, read_labels
from tracegrad.data.formats.aedat4 import read_aedat4
from tracegrad.data.formats.idx import read_idx
from tracegrad.data.formats.nmnist_bin import read_nmnist
from tracegrad.data.formats.prophesee_dat import read_dat
from tracegrad.data.npz import Kind, read_npz
from tracegrad.data.wav import read_sound
from tracegrad.model.adjustable import Number
from tracegrad.run.changes import changes, refusals
from tracegrad.run.checkpoint import FIRST_LINE, HEAD, Checkpoint, from_bytes, to_bytes
from tracegrad.run.config import Config
from tracegrad.run.config_file import load_config, to_toml
from tracegrad.run.control import (
    CONTROL,
    EVENTS,
    LIVE,
    NUMBERS,
    WANTED,
    Offered,
    Wanted,
    live,
    offered,
    wanted,
    wish,
)
from tracegrad.run.position import Position
from tracegrad.run.record import Record
from tracegrad.run.record_file import from_npz, to_npz
from tracegrad.stream.bins import Bins
from tracegrad.stream.counts import Ledger
from tracegrad.stream.form import Form
from tracegrad.stream.gate import Gate
from tracegrad.stream.piece import Piece
from tracegrad.stream.sources.binary import MAGIC, to_binary
from tracegrad.stream.sources.framed import framed_pieces
from tracegrad.stream.sources.udp import udp_pieces
from tracegrad.study.study_file import FILES, read_study
from tracegrad.substrate.presets import load

FORM = Form(columns=6, classes=2, width=1000, window=5, gap=20)


WISHES = (
    b'{"paused": true}',
    b'{"learning_rate": 0.1, "synapse": [1, 2], "numbers": {"a.b": 1.0}}',
    json.dumps(asdict(Offered({"a.b": Number(0.5, "what", "unit")}))).encode(),
    b'{"event": "number", "epoch": 1, "batch": 2, "name": "a.b", "value": 1.0}\n'
    b'{"event": "refused", "epoch": 1, "batch": 2, "name": "a.b", "value": 1.0, "why": "So."}\n',
)
CHECKPOINT = Checkpoint({"w": np.arange(6.0).reshape(2, 3)}, json.dumps({"note": "small"}))
CHIP = resources.files("tracegrad.substrate").joinpath("presets", "mcu8.toml").read_text()


class Target(NamedTuple):
    """A reader of bytes, and good ones; what does not refuse counts or ignores what is wrong."""

    read: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    refuses: bool = True


@cache
def folder() -> Path:
    """Of this process, in memory where the system has such a one."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    made = tempfile.mkdtemp(prefix="fuzz", dir=memory)
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


def of_file(read: Callable[[Path], object], name: str) -> Callable[[bytes], object]:
    def reading(content: bytes) -> object:
        path = folder() / name
        path.write_bytes(content)
        return read(path)

    return reading


def unpacked(path: Path) -> None:
    """Nothing may come to lie outside of the folder that it is unpacked into."""
    inside = folder() / "outer" / "inside"
    inside.mkdir(parents=True, exist_ok=True)
    try:
        unpack(path, inside)
    finally:
        assert sorted(p.name for p in inside.parent.iterdir()) == ["inside"]
        for found in sorted(inside.rglob("*"), reverse=True):
            found.rmdir() if found.is_dir() else found.unlink()


def resigned(content: bytes) -> Checkpoint:
    """Behind the digest: what somebody makes who knows the format."""
    return from_bytes(FIRST_LINE + sha256(content).hexdigest().encode() + b"\n" + content, "it")


def manifest(content: bytes) -> Position:
    return Position.from_text(content.decode("utf-8", "surrogateescape"), "it")


def wished(content: bytes) -> None:
    """Each file through which a page and a run speak, whichever it is."""
    for name in (CONTROL, LIVE, WANTED, NUMBERS, EVENTS):
        (folder() / name).write_bytes(content)
    assert wish(folder()).paused in (True, False)
    assert isinstance(live(folder()), dict | None)
    assert isinstance(wanted(folder()), Wanted) and isinstance(offered(folder()), dict)
    assert isinstance(changes(folder()), list) and isinstance(refusals(folder()), list)


def studied(content: bytes) -> object:
    return read_study(content.decode("utf-8", "replace"), "study.toml", "smoke")


def counted(pieces: Iterator[Piece]) -> None:
    """Every record that is read is learned, dropped or refused, by count."""
    ledger = Ledger(stop=False)
    gate, bins, counts = Gate(FORM, ledger), Bins(FORM, ledger), ledger.counts
    steps = [step for piece in pieces for good in gate(piece) for step in bins.feed(good)]
    steps += bins.finish()
    counts.events.learned = sum(step.events for step in steps)
    counts.labels.learned = sum(step.label >= 0 for step in steps)
    assert counts.balanced, counts
    assert all(step.x.sum() == step.events for step in steps)


def framed(content: bytes) -> None:
    """A first byte says how long the chunks are in which the rest comes, some hundreds at most."""
    rest = content[1:]
    size = max(1 + content[0] if content else 1, len(rest) // 200)
    counted(framed_pieces(rest[at : at + size] for at in range(0, len(rest), size)))


class Receiver(socket.socket):
    """Gives packets, then breaks."""

    packets: list[bytes]

    def recv(self, size: int, flags: int = 0) -> bytes:
        if not self.packets:
            raise EOFError
        return self.packets.pop(0)[:size]


def packets(content: bytes) -> None:
    """Packets of at most 255 bytes, the length of each in front of it."""
    receiver = Receiver()
    receiver.packets = []
    while content:
        size, content = content[0], content[1:]
        receiver.packets.append(content[:size])
        content = content[size:]

    def until_it_breaks() -> Iterator[Piece]:
        try:
            yield from udp_pieces(receiver)
        except EOFError:
            return

    counted(until_it_breaks())


def text(name: str, read: Callable[[Path], object], *seeds: str) -> Target:
    return Target(of_file(read, name), tuple(seed.encode() for seed in seeds))


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(**members: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def arrays(**named: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **named)
    return file.getvalue()


def sound() -> bytes:
    file = io.BytesIO()
    wavfile.write(file, 8000, np.arange(8, dtype=np.int16))
    return file.getvalue()


def record() -> bytes:
    three, flat = np.zeros((3, 2)), np.zeros(3)
    return to_npz(Record(1e-3, three, (three,), "v", three, three, flat, flat, None))


def stream_bytes() -> tuple[bytes, ...]:
    time, none = np.array([0, 500, 1500]), np.full(3, -1, np.int8)
    piece = Piece(time, np.array([1, 0, 5]), none, np.array([False, True, False]))
    packet = struct.pack(">IIIII", 7, 3, 100, 1 << 31 | 1, 120)
    return (
        b"\x10" + MAGIC + to_binary(piece),
        b"\x05# text\n1000 1\nlabel 1200 1\n1500 2 1\n",
        bytes([len(packet)]) + packet,
    )


def event_seeds() -> dict[str, tuple[bytes, ...]]:
    rows = [(3, 2, 1, 10), (5, 1, 0, 40)]
    four = files.event_packet(*rows)
    return {
        "aedat2": (files.aedat2_bytes(*rows), files.HEADER2),
        "aedat3": (files.aedat3_bytes(files.aedat3_packet([(*row, 1) for row in rows])),),
        "aedat4": tuple(files.aedat4_bytes(four, four, compression=c) for c in (0, 1)),
        "dat": (files.dat_bytes(*rows),),
        "nmnist": (files.nmnist_bytes(rows),),
    }


def made() -> dict[str, Target]:
    events, (binary, lines, packet) = event_seeds(), stream_bytes()
    image, small = files.idx_bytes(np.arange(6).reshape(2, 3)), to_bytes(CHECKPOINT)
    kinds = {"x": Kind(np.uint8, (None, 2)), "y": Kind(np.float64, (2,))}
    good = arrays(x=np.ones((3, 2), np.uint8), y=np.zeros(2))
    return {
        "aedat2": Target(of_file(read_aedat2, "a"), events["aedat2"]),
        "aedat3": Target(of_file(lambda p: read_aedat3(p, 0, 2**62), "a"), events["aedat3"]),
        "aedat3 labels": text("a.csv", lambda p: read_labels(p, 11), f"{LABELS}\n1,20,50\n"),
        "aedat4": Target(of_file(read_aedat4, "a"), events["aedat4"]),
        "dat": Target(of_file(read_dat, "a"), events["dat"]),
        "nmnist": Target(of_file(read_nmnist, "a"), events["nmnist"]),
        "idx": Target(of_file(lambda p: read_idx(p, 2), "a"), (image,)),
        "idx, packed": Target(of_file(lambda p: read_idx(p, 2), "a.gz"), (gzip.compress(image),)),
        "npz": Target(of_file(lambda p: read_npz(p, kinds), "a.npz"), (good,)),
        "wav": Target(of_file(read_sound, "a.wav"), (sound(),)),
        "zip": Target(of_file(unpacked, "a.zip"), (zipped(a=b"text", b=bytes(99)),)),
        "tar.gz, unpacked": Target(
            lambda content: of_file(unpacked, "a.tar.gz")(gzip.compress(content, 1)),
            (tarred(a=b"text"),),
        ),
        "tar.gz": Target(of_file(unpacked, "a.tar.gz"), (gzip.compress(tarred(a=b"text")),)),
        "stream": Target(framed, (binary, lines), refuses=False),
        "udp": Target(packets, (packet, packet + packet), refuses=False),
        "checkpoint": Target(lambda content: from_bytes(content, "it"), (small,)),
        "checkpoint, signed": Target(resigned, (small[HEAD:],)),
        "manifest": Target(manifest, (POSITION.to_json().encode(),)),
        "control": Target(wished, WISHES, refuses=False),
        "record": Target(of_file(from_npz, "record.npz"), (record(),)),
        "config": text("config.toml", load_config, to_toml(Config())),
        "substrate": text("chip.toml", lambda path: load(str(path)), CHIP),
        "study": Target(studied, ((FILES / "horizon.toml").read_bytes(),)),
    }


TARGETS = made()
