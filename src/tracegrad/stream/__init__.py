"""Streams: learn and predict from a live source, in bounded memory, with every record counted."""

from tracegrad.stream.counts import Counts as Counts
from tracegrad.stream.live import Live as Live
from tracegrad.stream.live import Prediction as Prediction
from tracegrad.stream.live import Settings as Settings
from tracegrad.stream.piece import Piece as Piece
from tracegrad.stream.sources.binary import MAGIC as MAGIC
from tracegrad.stream.sources.binary import to_binary as to_binary
from tracegrad.stream.sources.descriptor import descriptor_bytes as descriptor_bytes
from tracegrad.stream.sources.framed import framed_pieces as framed_pieces
from tracegrad.stream.sources.growing import file_bytes as file_bytes
from tracegrad.stream.sources.records import Event as Event
from tracegrad.stream.sources.records import Label as Label
from tracegrad.stream.sources.records import records as records
from tracegrad.stream.sources.udp import udp_pieces as udp_pieces
from tracegrad.stream.sources.udp import udp_socket as udp_socket
from tracegrad.stream.when_full import Block as Block
from tracegrad.stream.when_full import Coarsen as Coarsen
from tracegrad.stream.when_full import Drop as Drop
