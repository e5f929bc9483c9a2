"""The C that neurons become is clean under the address, undefined-behaviour and thread sanitisers.

Every call of XLA to a kernel is recorded with its shapes and made again by a small program of its
own, compiled with a sanitiser.
"""

import subprocess
from pathlib import Path

import jax
import pytest

import claims
import tracegrad as tg
from claims import network
from tracegrad import native
from tracegrad.learn.plans import event_kernels
from tracegrad.learn.plans.events import Events
from tracegrad.learn.plans.plan import Data
from tracegrad.native import compiler

HERE = Path(__file__).resolve().parent


@pytest.fixture(params=[float, "uint8"], ids=["reals", "bytes"])
def calls(monkeypatch, request):
    """Source, function and shapes of every kernel of a ragged block of a deep network."""
    made, sources = [], {}
    target, call = event_kernels.target, jax.ffi.ffi_call

    def record(source, function):
        name = target(source, function)
        sources[name] = (source, function)
        return name

    def recorded(name, results, **options):
        inner = call(name, results, **options)

        def run(*arguments):
            made.append((*sources[name], arguments, results))
            return inner(*arguments)

        return run

    monkeypatch.setattr(event_kernels, "target", record)
    monkeypatch.setattr(jax.ffi, "ffi_call", recorded)
    net = network(tg.CubaLIF(tau_mem=10e-3, normalised=False), tg.TwoCompartment(), gain=5.0)
    valid = claims.weights() > 0
    data = Data(claims.inputs().astype(request.param), claims.targets(), claims.weights(), valid)
    loss = tg.losses.mean_squared_error(tg.RateRegulariser(2.0, 0.1))
    done = claims.block(net, tg.rules.block_diagonal(), loss=loss, data=data, plan=Events)
    claims.assert_alive(net, done.rates)
    return made


def described(arguments, results) -> str:
    lines = [f"{len(arguments)} {len(results)}"]
    for value in (*arguments, *results):
        lines.append(" ".join(map(str, (value.dtype.itemsize, value.ndim, *value.shape))))
    return "\n".join(lines)


@pytest.mark.parametrize("sanitiser", ["address,undefined", "thread"])
def test_kernels_are_clean(calls, sanitiser, tmp_path):
    assert {function for _, function, *_ in calls} == {"forward", "backward"}
    include = (f"-I{Path(native.__file__).parent}", f"-I{jax.ffi.include_dir()}", f"-I{tmp_path}")
    for index, (source, function, arguments, results) in enumerate(calls):
        (tmp_path / "kernel.c").write_text(source)
        program = tmp_path / f"program{index}"
        flags = (f"-fsanitize={sanitiser}", "-fno-sanitize-recover=all", "-g", "-O1", "-pthread")
        command = [compiler.compiler(), "-std=gnu11", "-march=native", *flags, *include]
        command += [f"-DCALL={function}", str(HERE / "driver.c"), "-o", str(program), "-lm"]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if "cannot find" in built.stderr:
            pytest.skip(f"the compiler has no {sanitiser} sanitiser")
        assert built.returncode == 0, built.stderr
        text = described(arguments, results)
        done = subprocess.run([program], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
