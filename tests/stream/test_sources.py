"""Sources: the same records through each give the same steps, however they are cut."""

import os
import threading
import time
from socket import AF_INET, SOCK_DGRAM, socket

import numpy as np
import pytest

from event_files import (
    aedat2_bytes,
    aedat3_bytes,
    aedat3_packet,
    aedat4_bytes,
    dat_bytes,
    event_packet,
)
from stream.flow import FORM, WIDTH, as_binary, as_packets, as_text, chunks, flow, same, steps_of
from tracegrad.data import Events
from tracegrad.errors import DataError
from tracegrad.stream.counts import Ledger
from tracegrad.stream.opened import open_source
from tracegrad.stream.options import StreamOptions
from tracegrad.stream.piece import IDLE
from tracegrad.stream.sources.binary import MAGIC, to_binary
from tracegrad.stream.sources.descriptor import descriptor_bytes
from tracegrad.stream.sources.framed import framed_pieces
from tracegrad.stream.sources.growing import file_bytes
from tracegrad.stream.sources.records import Event, Label, records
from tracegrad.stream.sources.udp import udp_pieces, udp_socket


@pytest.fixture(scope="module", params=[False, True], ids=["spikes", "polarity"])
def given(request):
    """A flow, its form and its steps, straight from Python."""
    form = FORM._replace(polarity=request.param)
    found = flow(600, seed=1, polarity=request.param)
    steps, ledger = steps_of(records(found), form)
    assert len(steps) > 100 and ledger.counts.balanced and ledger.counts.labels.learned > 40
    return found, form, steps


@pytest.mark.parametrize("size", [1, 7, 100, 2**16])
@pytest.mark.parametrize("write", [as_text, as_binary])
def test_text_and_binary(given, write, size):
    found, form, steps = given
    pieces = framed_pieces([b"", *chunks(write(found), size)])
    assert same(steps_of(pieces, form)[0], steps)


def test_text_may_have_comments_blanks_and_commas():
    text = b"# times lines\r\n\n  10, 2 \r\n20\t3\nlabel 20,1\n"
    assert same(
        steps_of(framed_pieces([text]))[0],
        steps_of(records([Event(10, 2), Event(20, 3), Label(20, 1)]))[0],
    )


def test_what_we_write_is_what_others_write(given):
    found, form, steps = given
    content = MAGIC + b"".join(to_binary(piece) for piece in records(found))
    assert content == as_binary(found)


@pytest.mark.parametrize("write", [as_text, as_binary])
def test_a_pipe(given, write):
    found, form, steps = given
    reading, writing = os.pipe()
    content = write(found)

    def send() -> None:
        for part in (content[:100], content[100:]):
            os.write(writing, part)
            time.sleep(0.12)  # longer than the source's pause: it must go on
        os.close(writing)

    sender = threading.Thread(target=send)
    sender.start()
    taken = list(descriptor_bytes(reading))
    sender.join()
    os.close(reading)
    assert b"" in taken and same(steps_of(framed_pieces(taken), form)[0], steps)


@pytest.mark.parametrize("write", [as_text, as_binary])
def test_a_growing_file(given, write, tmp_path):
    found, form, steps = given
    path, content = tmp_path / "log", write(found)
    path.write_bytes(content[:33])
    taken, source = [], file_bytes(path, follow=True)
    while len(b"".join(taken)) < len(content):
        part = next(source)
        if not part and path.stat().st_size == 33:
            with path.open("ab") as file:
                file.write(content[33:])
        taken.append(part)
    assert next(source) == b""
    assert b"" in taken and same(steps_of(framed_pieces(taken), form)[0], steps)
    path.write_bytes(b"1 2\n")
    with pytest.raises(DataError, match="log: was cut while it was read"):
        next(source)


def test_a_file_to_its_end(given, tmp_path):
    found, form, steps = given
    (tmp_path / "log").write_bytes(as_text(found))
    options = StreamOptions(source=str(tmp_path / "log"))
    assert same(steps_of(open_source(options), form)[0], steps)


def received(packets: list[bytes], polarity: bool, ledger: Ledger, form=FORM):
    """Steps of packets sent over loopback."""
    receiver = udp_socket("127.0.0.1", 0)
    with socket(AF_INET, SOCK_DGRAM) as sender:
        for packet in packets:
            sender.sendto(packet, receiver.getsockname())

    def until_idle():
        for piece in udp_pieces(receiver, polarity):
            yield piece
            if piece is IDLE:
                return

    return steps_of(until_idle(), form, ledger)


def test_udp(given):
    found, form, steps = given
    ledger = Ledger()
    assert same(received(as_packets(found), form.polarity, ledger, form)[0], steps)
    assert ledger.counts.packets_lost == 0


def test_udp_time_runs_over():
    start = 2**32 - 5 * WIDTH
    found = [Event(start + 500 * i, i % 6) for i in range(40)]
    steps = received(as_packets(found, size=3), False, Ledger())[0]
    assert same(steps, steps_of(records(found))[0]) and steps[-1].start > 2**32


def test_udp_counts_what_is_lost_and_refuses_what_is_none():
    found = flow(200, seed=2)
    packets = as_packets(found, first=2**32 - 2)  # the number runs over
    ledger = Ledger(stop=False)
    sent = [packets[0], packets[1], b"abc", packets[3] + b"12345", packets[4]]
    _, ledger = received(sent, False, ledger)
    counts = ledger.counts
    assert counts.packets_lost == 2 and counts.refusals == {"packet": 1 + 50}
    assert counts.balanced and counts.events.read + counts.labels.read == 51 + sum(
        (len(p) - 4) // 8 for p in (packets[0], packets[1], packets[4])
    )


def test_a_port_in_use_is_one_sentence():
    with udp_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DataError, match=f"udp://127.0.0.1:{port} cannot be opened: "):
            udp_socket("127.0.0.1", port)


PIXELS = [(3, 2, 1, 10), (1, 0, 0, 1500), (3, 2, 0, 2600), (0, 3, 1, 2700)]
CAMERAS = {
    "aedat2": (aedat2_bytes(*PIXELS), None, (128, 128), 10),
    "aedat3": (
        aedat3_bytes(aedat3_packet([(x, y, on, t, 1) for x, y, on, t in PIXELS])),
        (4, 4),
        (4, 4),
        0,
    ),
    "aedat4": (aedat4_bytes(event_packet(*PIXELS)), (4, 4), (4, 4), 10),
    "dat": (dat_bytes(*PIXELS), (4, 4), (4, 4), 0),
}


@pytest.mark.parametrize("kind", CAMERAS)
def test_cameras(kind, tmp_path):
    content, pixels, (width, height), first = CAMERAS[kind]
    (tmp_path / "recording").write_bytes(content)
    options = StreamOptions(source=str(tmp_path / "recording"), polarity=True, pixels=pixels)
    form = FORM._replace(columns=2 * width * height, polarity=True)
    x, y, on, t = np.array(PIXELS, np.int64).T
    events = Events(t - first, y * width + x, width * height, on.astype(np.int8))
    steps = steps_of(open_source(options), form)[0]
    assert same(steps, steps_of(records([events]), form)[0])
    assert len(steps) == 3 and sum(step.events for step in steps) == 4
