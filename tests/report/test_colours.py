"""Colours of pages stand out from the paper, and from each other with any colour vision."""

from itertools import combinations

import numpy as np
import pytest

from tracegrad.report.page import text
from tracegrad.report.section import COLOURS, DASHES

LINES = COLOURS[:4]  # the first runs, and the layers of a network; later ones differ in dashes too
PAPERS = ("#ffffff", "#14171b")
# Machado, Oliveira & Fernandes 2009, at full severity, for linear RGB.
VISIONS = {
    "all cones": np.eye(3),
    "no long": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no middle": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no short": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: str) -> np.ndarray:
    part = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB under daylight (D65), from linear RGB."""
    x, y, z = np.cbrt(np.maximum(TO_XYZ @ rgb / [0.9505, 1.0, 1.089], 1e-4))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: str, other: str) -> float:
    """WCAG 2.2: from 1 to 21."""
    low, high = sorted(float(TO_XYZ[1] @ linear(colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("paper", PAPERS)
def test_lines_stand_out_from_the_paper(paper):
    assert paper in text("page.css").lower()
    assert min(contrast(colour, paper) for colour in LINES) >= 3.0


@pytest.mark.parametrize("vision", VISIONS)
def test_lines_are_told_apart(vision):
    seen = [lab(np.clip(np.array(VISIONS[vision]) @ linear(c), 0, 1)) for c in LINES]
    apart = [float(np.linalg.norm(a - b)) for a, b in combinations(seen, 2)]
    assert min(apart) > 15.0, "about seven steps that can just be seen"


def test_every_line_has_a_dash_of_its_own():
    assert len(set(DASHES)) == len(DASHES) >= len(COLOURS)
