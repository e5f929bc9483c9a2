"""Jumps: how a linear-feedback shift register gets to an array's first draw without stepping.

A step is linear over the bits, so many steps are one matrix: the register after them is the
exclusive or of what they make of each of its bits.
"""

import numpy as np

from tracegrad.substrate.rounding import Lfsr


def mask(register: Lfsr) -> int:
    """The taps as bits of a word."""
    return sum(1 << (tap - 1) for tap in set(register.taps) if register.taps.count(tap) % 2)


def jump(register: Lfsr, steps: int) -> np.ndarray:
    """What `steps` steps make of each bit, the lowest first; O(width^2 log steps)."""
    taps, whole = mask(register), 2**register.width - 1
    images = [1 << bit for bit in range(register.width)]
    doubled = [((x << 1) & whole) | ((x & taps).bit_count() & 1) for x in images]
    while steps:
        if steps & 1:
            images = [_through(doubled, x) for x in images]
        doubled = [_through(doubled, x) for x in doubled]
        steps >>= 1
    return np.asarray(images, np.int64)


def _through(images: list[int], word: int) -> int:
    """A word through the matrix with these columns."""
    made = 0
    for bit, image in enumerate(images):
        made ^= image if word >> bit & 1 else 0
    return made
