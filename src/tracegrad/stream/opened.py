"""Opened: the source that the command line names."""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from tracegrad.errors import DataError, UsageError
from tracegrad.stream.options import StreamOptions
from tracegrad.stream.piece import Piece
from tracegrad.stream.sources.camera import Sensor, camera_reader, event_pieces
from tracegrad.stream.sources.descriptor import descriptor_bytes
from tracegrad.stream.sources.framed import framed_pieces
from tracegrad.stream.sources.growing import file_bytes
from tracegrad.stream.sources.udp import udp_pieces, udp_socket

STANDARD_INPUT = 0
LOOPBACK = "127.0.0.1"
LONGEST_MARK = 16  # bytes that tell camera files apart


def open_source(options: StreamOptions) -> Iterable[Piece]:
    """Standard input, a UDP socket or a file; camera files are read at once."""
    named = options.source
    network = named.startswith("udp:")
    if options.follow and (network or named == "-"):
        raise UsageError(f"follow is for a file that grows, got {named}. Leave it out.")
    if named == "-":
        return framed_pieces(descriptor_bytes(STANDARD_INPUT))
    if network:
        return udp_pieces(udp_socket(*_address(named)), options.polarity)
    return _file(Path(named), options)


def _file(path: Path, options: StreamOptions) -> Iterable[Piece]:
    if not path.is_file():
        raise DataError(f"{path}: there is no such file. Check the path, or make it first.")
    with path.open("rb") as file:
        reader = camera_reader(file.read(LONGEST_MARK))
    if reader is None:
        return framed_pieces(file_bytes(path, options.follow))
    if options.follow or not options.polarity:
        raise UsageError(
            f"{path} is a recording of a camera: it has ON and OFF events and does not grow. Give "
            "polarity and leave follow out."
        )
    sensor = options.pixels
    return event_pieces(reader(path, None if sensor is None else Sensor(*sensor)))


def _address(named: str) -> tuple[str, int]:
    try:
        parts = urlsplit(named)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{named} is no address: {error}. Give udp://HOST:PORT.") from error
    if port is None or parts.path not in ("", "/"):
        raise UsageError(f"{named} is no address. Give udp://HOST:PORT.")
    return parts.hostname or LOOPBACK, port
