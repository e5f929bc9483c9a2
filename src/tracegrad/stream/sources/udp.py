"""UDP: packets of addressed events (AER), with a number each so that lost ones are counted."""

import socket
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from tracegrad.errors import DataError
from tracegrad.stream.piece import IDLE, NO_POLARITY, Piece, Refusal, piece_of
from tracegrad.stream.sources.descriptor import PAUSE

LARGEST = 65_507  # bytes of a datagram
BUFFER = 2**22  # bytes that the kernel is asked to keep for us
LABEL = 1 << 31  # bit of an address
OFF = 1 << 30


class _Seen(NamedTuple):
    """Number of the last packet, and time of its last event as 32 and 64 bits."""

    number: int
    short: int
    time: int


def udp_socket(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    made.settimeout(PAUSE)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise DataError(f"udp://{host}:{port} cannot be opened: {error.strerror}.") from error
    return made


def udp_pieces(receiver: socket.socket, polarity: bool = False) -> Iterator[Piece]:
    """Records of packets, for ever; the sender gets no answer.

    A packet, big-endian: its number (uint32), then 8 bytes an event: address and time (uint32
    each). The address is the line; bit 30 says OFF where polarity was announced; bit 31 says that
    the rest is the class of a label. Times are microseconds and may run over: 32 bits last 71
    minutes, and a step back of more than half of that is taken as the next turn. A packet of
    another length is refused. What overtakes is refused as unsorted.
    """
    seen: _Seen | None = None
    with receiver:
        while True:
            try:
                packet = receiver.recv(LARGEST)
            except TimeoutError:
                yield IDLE
                continue
            if len(packet) < 12 or len(packet) % 8 != 4:
                yield piece_of([], _misshapen(packet))
                continue
            piece, seen = _piece(np.frombuffer(packet, ">u4").astype(np.int64), polarity, seen)
            yield from piece.parts()


def _piece(
    words: Int64[np.ndarray, "W"], polarity: bool, seen: _Seen | None
) -> tuple[Piece, _Seen]:
    number, (address, short) = int(words[0]), words[1:].reshape(-1, 2).T
    seen = seen or _Seen(number - 1, int(short[0]), int(short[0]))
    time = seen.time + np.cumsum(_signed(np.diff(short, prepend=seen.short)))
    label = address & LABEL != 0
    off = (address & OFF != 0) & ~label
    value = np.where(label, address & (LABEL - 1), address & (OFF - 1 if polarity else LABEL - 1))
    sign = np.where(label, NO_POLARITY, np.where(off, 0, 1) if polarity else NO_POLARITY)
    ahead = int(_signed(np.int64(number - seen.number)))
    piece = Piece(time, value, sign.astype(np.int8), label, lost=max(0, ahead - 1))
    return piece, _Seen(number if ahead > 0 else seen.number, int(short[-1]), int(time[-1]))


def _signed(words: np.ndarray | np.int64) -> np.ndarray:
    """Differences of 32-bit numbers as the smaller way round."""
    return np.asarray((words + 2**31) % 2**32 - 2**31)


def _misshapen(packet: bytes) -> Refusal:
    sentence = (
        f"A packet must be 4 bytes and 8 for each event, got {len(packet)} bytes. Check the sender."
    )
    return Refusal("packet", sentence, max(1, (len(packet) - 4) // 8))
