"""Framed: text or the binary framing, by the first byte that comes."""

from collections.abc import Iterable, Iterator
from itertools import chain

from tracegrad.stream.piece import IDLE, Piece
from tracegrad.stream.sources.binary import MAGIC, binary_pieces
from tracegrad.stream.sources.text import text_pieces


def framed_pieces(chunks: Iterable[bytes]) -> Iterator[Piece]:
    """Records of bytes in either form."""
    stream = iter(chunks)
    for first in stream:
        if not first:
            yield IDLE
            continue
        pieces = binary_pieces if first[:1] == MAGIC[:1] else text_pieces
        yield from pieces(chain([first], stream))
