"""Numbers that may change are found where they are declared, kept within bounds, and replaced."""

import equinox as eqx
import jax
import pytest

from tracegrad.model.adjustable import Number, adjustable, numbers, with_number
from tracegrad.model.parameter import setting


class Inner(eqx.Module):
    gain: float = adjustable(2.0, "a gain", "per step", closed=False)
    order: int = setting(3)


class Outer(eqx.Module):
    decay: float = adjustable(0.5, "a decay", "per step", high=1.0)
    held: Inner = setting(Inner(4.0))
    inner: Inner = Inner()
    shape: tuple[int, ...] = setting((1, 2))


def test_every_declared_number_is_found_with_its_value_of_now():
    found = numbers(Outer(0.25))
    assert {name: number.value for name, number in found.items()} == {
        "decay": 0.25,
        "held.gain": 4.0,
        "inner.gain": 2.0,
    }
    assert (found["decay"].unit, found["decay"].what) == ("per step", "a decay")


def test_one_is_replaced_and_nothing_else():
    before = Outer(0.25)
    after = with_number(with_number(before, "held.gain", 7.0), "decay", 0.75)
    assert {name: number.value for name, number in numbers(after).items()} == {
        "decay": 0.75,
        "held.gain": 7.0,
        "inner.gain": 2.0,
    }
    assert after.held.order == 3 and before == Outer(0.25)


def test_it_is_no_array_of_a_model():
    assert jax.tree.leaves(Outer()) == []


BELOW = Number(0.5, "", "", high=1.0)
ABOVE = Number(0.5, "", "", closed=False)


@pytest.mark.parametrize(
    ("number", "inside", "outside", "said"),
    [
        (BELOW, [0.0, 0.5, 0.999], [-1e-9, 1.0, 2.0], "at least 0 and below 1"),
        (ABOVE, [1e-300, 1e9], [0.0, -1.0], "above 0"),
        (Number(0.5, "", ""), [0.0, 1e300], [-0.5], "at least 0"),
    ],
)
def test_bounds_hold_what_they_say(number, inside, outside, said):
    assert all(map(number.allows, inside)) and not any(map(number.allows, outside))
    assert not any(map(number.allows, (float("nan"), float("inf"), -float("inf"))))
    assert number.bounds == said
