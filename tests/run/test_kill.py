"""Killed at any moment, a run goes on and comes to the same bytes; a writer in place does not."""

import os
import signal

import pytest

from killing import case, kill, newest, survives, until

CI = [case("block_diagonal"), case("uoro"), case("eprop", substrate="mcu8")]


@pytest.mark.parametrize("given", CI, ids=lambda given: given.name)
def test_a_killed_run_comes_to_the_same_bytes(lives, given, tmp_path, record_property):
    done = survives(lives, tmp_path, given, 7)
    assert done.damaged == 0 and done.overlapped >= 1
    record_property("kills", done.kills)
    record_property("kills_within_a_write", done.overlapped)


def test_the_control_that_writes_in_place_fails_the_same_check(lives, tmp_path, record_property):
    done = kill(lives, tmp_path / "run", CI[0], 30, control=True)
    assert done.damaged >= 1
    record_property("kills_until_the_control_failed", done.kills)


def test_a_second_process_is_refused_and_the_lock_dies_with_the_first(
    lives, tmp_path, record_property
):
    run = tmp_path / "run"
    first = lives.start(run, CI[0])
    until(lambda: newest(run) > 0, lives)
    assert lives.wait(lives.start(run, CI[0])) == 2
    assert f"{run} is in use: another process trains in it." in lives.said()
    os.kill(first, signal.SIGKILL)
    assert lives.wait(first) == -signal.SIGKILL
    third = lives.start(run, CI[0])
    before = newest(run)
    until(lambda: newest(run) > before, lives)
    os.kill(third, signal.SIGKILL)
    lives.wait(third)
    record_property("locks", 1)


MANY = [
    case(rule, every, substrate, epochs=250)
    for rule, every, substrate in (
        ("block_diagonal", 4, None), ("eprop", 4, None), ("eprop", 1, "mcu8"), ("bptt", None, None),
        ("rtrl", 4, None), ("uoro", 4, None), ("kf_rtrl", 4, None), ("ostl", 1, None),
        ("dni", 4, None), ("block_diagonal", 4, "mcu8"),
    )
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("given", MANY, ids=lambda given: given.name)
def test_thirty_kills_each(lives, given, tmp_path, record_property):
    done = survives(lives, tmp_path, given, 30)
    assert done.damaged == 0 and done.overlapped >= 5
    record_property("kills", done.kills)
    record_property("kills_within_a_write", done.overlapped)
