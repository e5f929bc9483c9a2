"""Convolutions: layers on a map in one word, such as `12c5s2-pool2-32c3p1`.

`12c5s2p1` is a convolution of 12 channels, kernel 5, stride 2 and padding 1; `pool2` adds up
squares of 2 x 2 lines of every channel. Stride is 1 (of a pool its size) and padding 0 unless
given.
"""

import re
from typing import NamedTuple

from tracegrad.errors import UsageError
from tracegrad.model import Conv, Pool

Map = tuple[int, int, int]  # channels, rows, columns
_NUMBER = r"([1-9][0-9]{0,4})"
_PART = re.compile(rf"(?:{_NUMBER}c|pool){_NUMBER}(?:s{_NUMBER})?(?:p([0-9]{{1,4}}))?")


class Part(NamedTuple):
    """One layer; without `channels` a pool."""

    channels: int | None
    kernel: int
    stride: int
    padding: int

    def on(self, shape: Map, gain: float, bias: bool) -> Conv | Pool:
        """The connection on a map; a pool has neither gain nor bias, every spike counts one."""
        windows = (self.kernel, self.stride, self.padding)
        # The type checker takes the abstract sizes of a connection for fields; equinox does not.
        if self.channels is None:
            return Pool(shape, *windows, float(self.kernel**2))  # pyright: ignore[reportCallIssue]
        return Conv(shape, self.channels, *windows, gain, bias)  # pyright: ignore[reportCallIssue]


def parse(key: str, text: str) -> tuple[Part, ...]:
    """The layers that a word describes; `UsageError` names the setting and the part."""
    return tuple(_part(key, word) for word in text.split("-"))


def connections(key: str, text: str, shape: Map, gain: float, bias: bool) -> list[Conv | Pool]:
    """Connections one upon the other, the first on a map of `shape`; `UsageError` by part."""
    made: list[Conv | Pool] = []
    for word, part in zip(text.split("-"), parse(key, text), strict=True):
        below = made[-1].out_shape if made else shape
        try:
            made.append(part.on(below, gain, bias))
        except ValueError as error:
            sizes = " x ".join(map(str, below))
            raise UsageError(f"{key}: {word} on a map of {sizes} cannot be: {error}") from error
    return made


def _part(key: str, word: str) -> Part:
    found = _PART.fullmatch(word)
    if found is None:
        raise UsageError(
            f"{key} must be layers such as 12c5s2p1 (channels, kernel, stride, padding) or pool2, "
            f"joined by -, got {word!r}."
        )
    channels, kernel, stride, padding = found.groups()
    usual = 1 if channels else kernel
    return Part(int(channels) if channels else None, int(kernel), int(stride or usual),
                int(padding or 0))  # fmt: skip
