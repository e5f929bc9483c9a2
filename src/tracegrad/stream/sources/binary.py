"""Binary framing: a mark of 8 bytes, then records of 16 bytes, little-endian."""

from collections.abc import Iterable, Iterator

import numpy as np

from tracegrad.stream.piece import IDLE, NO_POLARITY, Piece, Refusal, piece_of

MAGIC = b"\x89TGEV1\r\n"  # no text begins so, and a transfer as text would damage it
EVENT, LABEL = 0, 1
RECORD = np.dtype(
    [("time", "<i8"), ("value", "<u4"), ("kind", "u1"), ("polarity", "i1"), ("zero", "<u2")]
)


def binary_pieces(chunks: Iterable[bytes]) -> Iterator[Piece]:
    """Records of bytes that come in chunks, cut anywhere; O(chunk) memory.

    A record: time in microseconds (int64), line or class (uint32), kind (0 event, 1 label),
    polarity (1 ON, 0 OFF, -1 none or a label's), two bytes of zero. A record of another kind, or
    half a one at the end, is refused; bytes that do not begin with the mark are all one refusal.
    """
    rest, begun = b"", False
    for chunk in chunks:
        rest += chunk
        if not begun and len(rest) >= len(MAGIC):
            if not rest.startswith(MAGIC):
                yield piece_of([], _foreign(rest))
                return
            rest, begun = rest[len(MAGIC) :], True
        whole = len(rest) // RECORD.itemsize * RECORD.itemsize if begun else 0
        if not whole:
            yield IDLE
            continue
        raw, rest = np.frombuffer(rest[:whole], RECORD), rest[whole:]
        yield from _checked(raw)
    if rest or not begun:
        half = f"The source ends inside a record, after {len(rest)} bytes of it. Send it whole."
        yield piece_of([], Refusal("half", half))


def to_binary(piece: Piece) -> bytes:
    """The records of a piece as bytes; a source of them begins with `MAGIC`."""
    raw = np.zeros(len(piece.time), RECORD)
    raw["time"], raw["value"], raw["kind"] = piece.time, piece.value, piece.label
    raw["polarity"] = piece.polarity
    return raw.tobytes()


def _checked(raw: np.ndarray) -> Iterator[Piece]:
    """Whole pieces up to each record that is none."""
    label = raw["kind"] == LABEL
    known = np.where(label, raw["polarity"] == NO_POLARITY, np.isin(raw["polarity"], (-1, 0, 1)))
    good = known & (raw["kind"] <= LABEL) & (raw["zero"] == 0)
    piece = Piece(
        raw["time"].astype(np.int64),
        raw["value"].astype(np.int64),
        raw["polarity"].astype(np.int8),
        label,
    )
    start = 0
    for bad in np.flatnonzero(~good).tolist():
        kind, polarity = int(raw["kind"][bad]), int(raw["polarity"][bad])
        sentence = (
            f"A record must be of kind 0 or 1, polarity -1, 0 or 1 and end in zeros, got kind "
            f"{kind} and polarity {polarity}. Check what writes it."
        )
        labels = int(kind == LABEL)
        yield piece.take(slice(start, bad))._replace(
            refused=Refusal("record", sentence, 1 - labels, labels)
        )
        start = bad + 1
    yield from piece.take(slice(start, len(raw))).parts()


def _foreign(content: bytes) -> Refusal:
    return Refusal(
        "framing", f"The source must begin with {MAGIC!r}, begins with {content[:8]!r}. Check it."
    )
