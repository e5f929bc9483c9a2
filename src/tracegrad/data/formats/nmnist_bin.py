"""N-MNIST .bin: five bytes an event, of the ATIS camera's 34 x 34 pixels."""

from pathlib import Path

import numpy as np

from tracegrad.data.events import Events
from tracegrad.data.formats.listed import listed, pixels, read_bytes
from tracegrad.errors import DataError

SIZE = 34  # pixels in a row and in a column
LARGEST = 5 * 2**20  # bytes: a million events, a hundred times a recording


def read_nmnist(path: Path) -> Events:
    """The events of one recording: 1156 lines y 34 + x, ON and OFF.

    An event is x, y (a byte each), then 24 bits, big-endian: polarity (1 ON) and 23 bits of
    microseconds. Source: Orchard et al. 2015 (arXiv 1507.07629), and the set's Read_Ndataset.

        events = read_nmnist(Path("Train/5/00001.bin"))
    """
    content = read_bytes(path, LARGEST)
    if not content or len(content) % 5:
        raise DataError(
            f"{path}: must hold events of 5 bytes, has {len(content)} bytes. Replace the file."
        )
    raw = np.frombuffer(content, np.uint8).reshape(-1, 5).astype(np.int64)
    time = (raw[:, 2] & 127) << 16 | raw[:, 3] << 8 | raw[:, 4]
    line = pixels(path, raw[:, 0], raw[:, 1], SIZE, SIZE)
    return listed(path, time, line, SIZE**2, (raw[:, 2] >> 7).astype(np.int8))
