"""What others use is told from what we use."""

import os
import subprocess
import sys
import time

import pytest

from tracegrad.bench.disturbance import Disturbance

SPIN = "import time\nend = time.perf_counter() + 3.0\nwhile time.perf_counter() < end: pass"


def stat(utime: int, stime: int) -> str:
    return f"7 (a name) x) S {' '.join(['0'] * 10)} {utime} {stime} 0 0 0"


def test_the_share_is_what_all_used_less_what_we_used(tmp_path, monkeypatch):
    tick, cores = os.sysconf("SC_CLK_TCK"), 4
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    clock = iter([10.0, 12.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    for pid in ("self", "7"):
        (tmp_path / pid).mkdir()

    def write(user: float, idle: float, own: float, peer: float) -> None:
        columns = [user, 0, 0, idle, idle, 0, 0, 0, user, 0]
        (tmp_path / "stat").write_text(f"cpu  {' '.join(str(int(c * tick)) for c in columns)}\n")
        (tmp_path / "self" / "stat").write_text(stat(int(own * tick), 0))
        (tmp_path / "7" / "stat").write_text(stat(0, int(peer * tick)))

    write(user=100.0, idle=5.0, own=1.0, peer=2.0)
    watch = Disturbance([7], tmp_path)
    write(user=106.0, idle=50.0, own=3.0, peer=4.0)
    assert watch.share() == pytest.approx((6.0 - 2.0 - 2.0) / (2.0 * cores))


def test_without_such_files_it_cannot_be_told(tmp_path):
    assert Disturbance(proc=tmp_path).share() is None


def test_another_process_disturbs_and_ours_does_not():
    process = subprocess.Popen([sys.executable, "-c", SPIN])
    others, ours = Disturbance(), Disturbance([process.pid])
    time.sleep(1.0)
    foreign, known = others.share(), ours.share()
    process.kill()
    process.wait()
    assert foreign is not None and known is not None
    assert foreign - known > 0.02  # a share of a core, whatever else runs here
