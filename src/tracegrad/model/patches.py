"""Patches: which lines of a two-dimensional map each output place sees."""

from typing import NamedTuple

import numpy as np

Pair = int | tuple[int, int]


class Patches(NamedTuple):
    """Windows of size `kernel`, `stride` apart, over a map of (channels, rows, columns).

    `padding` rows and columns of silence lie on both sides. Lines are flat in C order: channel,
    row, column.
    """

    shape: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    @staticmethod
    def of(shape: tuple[int, int, int], kernel: Pair, stride: Pair, padding: Pair) -> "Patches":
        """Windows from numbers or pairs (rows, columns); refuses what leaves no place."""
        if len(shape) != 3 or min(shape) < 1:
            raise ValueError(
                f"shape must be (channels, rows, columns), each at least 1, got {shape}."
            )
        made = Patches(shape, _pair(kernel), _pair(stride), _pair(padding))
        if min(made.kernel) < 1 or min(made.stride) < 1 or min(made.padding) < 0:
            raise ValueError(
                "kernel and stride must be at least 1 and padding at least 0, got "
                f"kernel={kernel}, stride={stride} and padding={padding}."
            )
        if min(made.places) < 1:
            raise ValueError(
                f"A kernel of {made.kernel} does not fit into {shape[1:]} with padding "
                f"{made.padding}. Make it smaller, or pad more."
            )
        return made

    @property
    def places(self) -> tuple[int, int]:
        """Rows and columns of output places."""
        _, *sizes = self.shape
        rows, columns = (
            (size + 2 * pad - width) // step + 1
            for size, width, step, pad in zip(
                sizes, self.kernel, self.stride, self.padding, strict=True
            )
        )
        return rows, columns

    @property
    def number(self) -> int:
        """Number of output places."""
        return self.places[0] * self.places[1]

    @property
    def lines(self) -> int:
        """Number of lines of the map."""
        channels, rows, columns = self.shape
        return channels * rows * columns

    def taps(self) -> np.ndarray:
        """The line behind every tap of every place, (places, channels, *kernel).

        A tap on the padding has the number `lines`, which is no line.
        """
        channels, rows, columns = self.shape
        y, x = (
            step * np.arange(places)[:, None] + np.arange(width) - pad
            for step, places, width, pad in zip(
                self.stride, self.places, self.kernel, self.padding, strict=True
            )
        )
        y, x = y[:, None, None, :, None], x[None, :, None, None, :]
        channel = np.arange(channels)[None, None, :, None, None]
        inside = (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
        line = np.where(inside, (channel * rows + y) * columns + x, self.lines)
        return line.reshape(self.number, channels, *self.kernel)


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value
