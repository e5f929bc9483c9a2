"""Rounding by a shift register: the library draws what the simulation draws, bit for bit."""

import jax.numpy as jnp
import pytest

from tracegrad.export.account import descent, operations, readme
from tracegrad.export.jumps import jump
from tracegrad.substrate.rounding import Lfsr

from .devices import (
    EVERY_RULE,
    MIDDLE,
    NARROW,
    SANITISED,
    STRICT,
    WIDE,
    assert_found_out,
    assert_learned,
    case,
    ran,
)

STEPS = 500
MUTANTS = {
    "every array from the first draw": (
        "lfsr->jumps[draw * lfsr->width + bit]",
        "lfsr->jumps[bit]",
    ),
    "a step only where something is rounded": (
        "for (; draws->key[1] <= index; draws->key[1]++)",
        "for (int once = 0; once < 1; once++)",
    ),
    "lower bits of a wide register": (
        "word >> (width - 24u)",
        "word & 0xFFFFFFu",
    ),
    "a narrow register's bits as they are": ("<< (24u - width)", ""),
    "no taps": ("| (fed & 1u)", "| 1u"),
    "the same draws at every step": ("tg_use(&learner->weight_draws, TG_WEIGHT_USES);", ""),
}


def stepped(register, word, steps):
    for _ in range(steps):
        word = register.advance(word)
    return int(word)


@pytest.mark.parametrize("register", [NARROW, MIDDLE, WIDE, Lfsr(5, (5, 3, 3, 1), 9)], ids=str)
@pytest.mark.parametrize("steps", [0, 1, 2, 37, 100])
def test_a_jump_is_as_many_steps(register, steps):
    images, start = jump(register, steps), jnp.asarray(register.seed, jnp.uint32)
    jumped = 0
    for bit, image in enumerate(images):
        jumped ^= int(image) if register.seed >> bit & 1 else 0
    assert jumped == stepped(register, start, steps)


def test_the_library_is_the_simulation_s_twin(compiler, tmp_path):
    done = case("eprop", "LIF", STEPS, "registers")
    assert_learned(done)
    assert ran(tmp_path, done.files, compiler, *STRICT, *SANITISED) == f"equal for {STEPS} steps\n"
    assert operations(done.model).draws > 0
    assert "a step of a shift register" in readme(done.model, None, STEPS, descent(2.0**-7))


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_library_is_found_out(compiler, tmp_path, mutant):
    old, new = MUTANTS[mutant]
    files = case("eprop", "LIF", STEPS, "registers").files
    assert_found_out(tmp_path, files, compiler, old, new)


@pytest.mark.slow
@pytest.mark.parametrize("numbers", ["registers", "one register"])
@pytest.mark.parametrize(("rule", "neuron"), EVERY_RULE)
def test_every_rule_for_ten_thousand_steps(compiler, tmp_path, rule, neuron, numbers):
    done = case(rule, neuron, 10_000, numbers)
    assert_learned(done)
    assert ran(tmp_path, done.files, compiler, *STRICT, *SANITISED) == "equal for 10000 steps\n"
