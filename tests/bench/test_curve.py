"""Exponents of known power laws, and where one row overtakes another."""

import numpy as np
import pytest

from tracegrad.bench.curve import AXES, BASE, exponent, fastest


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_the_exponent_of_a_power_law_is_found_beside_fixed_costs(power):
    sizes = np.array([64.0, 256.0, 4096.0, 65536.0])
    times = 3.0 * sizes**power
    times[:2] += 1e3  # a fixed cost that small sizes show
    order = [2, 0, 3, 1]
    assert exponent(sizes[order].tolist(), times[order].tolist()) == pytest.approx(power, abs=1e-9)


def test_one_point_has_no_exponent():
    with pytest.raises(ValueError, match="An exponent needs at least 2 points, got 1. Measure"):
        exponent([1.0], [2.0])


def test_the_size_is_found_from_which_on_a_row_is_the_fastest():
    times = {
        4: {"a": 1.0, "b": 2.0},
        64: {"a": 9.0, "b": 3.0},
        16: {"a": 2.0, "b": 2.5},
        256: {"b": 9.0},
    }
    assert fastest(times) == [(4, "a"), (64, "b")]


def test_an_axis_changes_one_size_alone():
    for name, axis in AXES.items():
        for value, point in axis.points.items():
            changed = {
                size: number
                for size, number in point.work._asdict().items()
                if number != BASE._asdict()[size] and (name, size) != ("steps", "batch")
            }
            assert changed in ({}, {name: value})
            assert name != "density" or point.density == value
