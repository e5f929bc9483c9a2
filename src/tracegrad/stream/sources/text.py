"""Text: a record a line, `time line [polarity]` or `label time class`, times in microseconds."""

import re
from collections.abc import Iterable, Iterator

from tracegrad.stream.piece import IDLE, MOST, NO_POLARITY, Piece, Refusal, piece_of

LONGEST = 256  # bytes of a line
NUMBER = rb"(-?[0-9]{1,18})"  # 18 digits always fit into 64 bits
RECORD = re.compile(rb"(label[ \t]+)?%b[ \t,]+%b(?:[ \t,]+([01]))?" % (NUMBER, NUMBER))
Row = tuple[int, int, int, bool]


def text_pieces(chunks: Iterable[bytes]) -> Iterator[Piece]:
    """Records of text that comes in chunks, cut anywhere; O(chunk) memory.

    Numbers are whole, apart by blanks or a comma. Empty lines and lines that begin with # are no
    records. A line that is no record, longer than 256 bytes, or without its end is refused.
    """
    rest, lost = b"", False  # the beginning of a line; whether it is already refused as too long
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if lost and lines:
            lines, lost = lines[1:], False
        for start in range(0, len(lines), MOST):
            yield from _pieces(lines[start : start + MOST])
        if len(rest) > LONGEST:
            if not lost:
                yield _refused(rest)
            rest, lost = b"", True
        if not lines:
            yield IDLE
    if rest.strip() and not lost:
        yield piece_of([], Refusal("half", "The source ends inside a line. Send it whole."))


def _pieces(lines: list[bytes]) -> Iterator[Piece]:
    rows: list[Row] = []
    for line in lines:
        bare = line.strip()
        if not bare or bare.startswith(b"#"):
            continue
        row = None if len(line) > LONGEST else _row(bare)
        if row is not None:
            rows.append(row)
            continue
        if rows:
            yield piece_of(rows)
            rows = []
        yield _refused(bare)
    if rows:
        yield piece_of(rows)


def _row(line: bytes) -> Row | None:
    found = RECORD.fullmatch(line)
    if found is None:
        return None
    label, time, value, polarity = found.groups()
    if label and polarity:
        return None
    return int(time), int(value), NO_POLARITY if polarity is None else int(polarity), bool(label)


def _refused(line: bytes) -> Piece:
    shown = line[:40].decode("ascii", "replace")
    label = line.startswith(b"label")
    sentence = (
        f"A line must be `time line [0|1]` or `label time class` in whole numbers and at most "
        f"{LONGEST} bytes, got {shown!r}. Times are microseconds."
    )
    return piece_of([], Refusal("line of text", sentence, int(not label), int(label)))
