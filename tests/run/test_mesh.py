"""Over eight virtual devices a learner comes to the same as on one, each with its part of it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from mesh_runs import BATCH, CLASSES, LINES, STEPS, N
from tracegrad.errors import UsageError
from tracegrad.learn.plans.events import Events
from tracegrad.run.cli import main
from tracegrad.run.learner import Learner
from tracegrad.run.mesh import batch_axis, mesh_of
from tracegrad.run.travelled import in_program

TESTS = Path(__file__).parents[1]


def process(*arguments: str) -> dict[str, Any]:
    """What the script prints; it has devices and flags of its own."""
    path = os.pathsep.join([str(TESTS), str(TESTS.parent / "src")])
    # Eight devices that wait for each other need a thread each, so no bound on threads.
    kept = {name: value for name, value in os.environ.items() if name != "PJRT_NPROC"}
    done = subprocess.run(
        [sys.executable, str(TESTS / "mesh_runs.py"), *arguments],
        env={**kept, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return process()


@pytest.mark.parametrize("work", ["every_step", "blocks", "single"])
def test_the_same_comes_out_as_on_one_device(found, work):
    """Another order of sums is all that may differ; the neurons spike at the very same steps."""
    for mesh, run in found[work].items():
        assert run["dtype"] == ("float32" if work == "single" else "float64")
        assert run["apart"] <= (1e-6 if work == "single" else 1e-10), mesh
        assert 0.05 < run["rate"] < 0.6 and run["changed"] > 1e-3
        assert run["same_spikes"], mesh
    assert found["stepped"] <= 1e-10


def test_every_device_holds_its_part_before_and_after(found):
    """Batch and postsynaptic neurons are divided, and of the readout the neurons that it reads."""
    both = found["blocks"]["data=2,neuron=4"]
    half, quarter = BATCH // 2, N // 4
    expected = {
        "network.layers.0.input.weight": [quarter, LINES],
        "network.layers.0.recurrent.weight": [quarter, N],
        "network.readout.input.weight": [CLASSES, quarter],
        "optimiser.0.nu.0.layers.0.recurrent.weight": [quarter, N],
        "gradient.0.layers.0.input.weight": [quarter, LINES],
        "stream.state.0.z": [half, quarter],
        "stream.state.1.z": [half, CLASSES],
        "stream.memory.0.rows.v.weight.current": [half, 1, LINES],  # held once for all neurons
        "stream.memory.0.rows.v.recurrent.current": [half, 1, quarter],
        "stream.memory.0.taps.kappa1.weight.current": [half, quarter, LINES],
        "stream.memory.0.taps.kappa1.recurrent.current": [half, quarter, N],
        "stream.memory.1.rows.v.weight.current": [half, 1, quarter],
    }
    assert {name: both["parts"][name] for name in expected} == expected
    for work in ("every_step", "blocks", "single"):
        for run in found[work].values():
            assert run["stays"] == run["began"] < run["whole"]


def test_what_lies_whole_on_every_device_is_said(found):
    """Over batches alone the weights do; over neurons alone the readout's own states do."""
    over_batch = found["blocks"]["data=8,neuron=1"]
    assert "network.layers.0.recurrent.weight" in over_batch["copied"]
    assert not [name for name in over_batch["copied"] if name.startswith("stream")]
    assert "recurrent.weight: 2048 bytes, whole on every device" in over_batch["said"]
    over_neurons = found["every_step"]["data=1,neuron=8"]
    assert all(name.startswith("stream.") and ".1." in name for name in over_neurons["copied"])


def test_only_gradients_or_spikes_and_signals_travel(found):
    """Over batches gradients are summed once an update; over neurons no trace ever travels."""
    over_batch = found["blocks"]["data=8,neuron=1"]
    assert set(over_batch["travels"]) == {"all-reduce"}
    # Two updates in eight steps, at least of all weights, by the ring.
    weights = 8 * N * (LINES + N + CLASSES)
    assert 2 * 1.75 * weights <= over_batch["travels"]["all-reduce"] < 3 * 1.75 * weights
    over_neurons = found["every_step"]["data=1,neuron=8"]
    moved = sum(over_neurons["travels"].values()) / STEPS
    spikes, traces = 8 * BATCH * N, 8 * BATCH * N * (LINES + N)
    assert 7 / 8 * spikes <= moved < 3 * spikes < traces


def test_a_checkpoint_moves_between_meshes_and_one_device(found):
    assert max(found["moved"].values()) <= 1e-10


def test_bytes_are_those_of_a_loop_written_by_hand(found):
    """One sum over eight devices of a number for each sample, in each of the steps."""
    assert found["looped"] == {"all-reduce": STEPS * 2 * 7 / 8 * 8 * BATCH}


def test_what_the_devices_cannot_share_is_refused(found):
    refused = found["refused"]
    assert refused["init"].startswith("The batch must be a multiple of the 8 devices along data")
    assert "got 6" in refused["data"]
    assert refused["devices"].startswith("mesh needs 9 devices for data=3,neuron=3, and there are")
    assert found["plan"].endswith("products, since events run on one device")


@pytest.mark.parametrize("text", ["rows=2", "data", "data=0", "data=2;neuron=2", "", "data=-1"])
def test_a_mesh_is_given_by_its_axes(text):
    with pytest.raises(UsageError, match="mesh must give the axes data and neuron"):
        mesh_of(text)


def test_an_axis_is_given_once(capsys):
    with pytest.raises(UsageError, match="once"):
        mesh_of("data=1,data=1")
    assert main(["train", "digits", "--mesh", "data=1,neuron=999"]) == 2
    assert "mesh needs 999 devices" in capsys.readouterr().err


def test_an_axis_that_is_not_the_batch_is_refused():
    """Nothing is taken for the batch that is not as long as it is."""
    assert batch_axis((4, 7, 4), (4, 7, 8)) == 2
    assert batch_axis((4, 7), (4, 7)) is None
    for few, more in (((4, 4), (8, 8)), ((5, 3), (9, 3))):
        with pytest.raises(ValueError, match="one axis as long as the batch"):
            batch_axis(few, more)


def test_a_learner_refuses_other_axes_and_plans_of_one_device(tiny_learner):
    mesh = Mesh(np.array(jax.devices()[:1]), ("rows",))
    with pytest.raises(ValueError, match='must have the axes "data" and "neuron"'):
        tiny_learner.over(mesh)
    rule, loss, network = tiny_learner.rule, tiny_learner.loss, tiny_learner.network
    events = Learner(network, rule, loss, tiny_learner.optimiser, None, Events(rule, loss))
    with pytest.raises(ValueError, match="Events runs on one device"):
        events.over(Mesh(np.array(jax.devices()[:1]), ("data",)))


PROGRAM = """HloModule made

%body (p: (s64[], f32[4])) -> (s64[], f32[4]) {{
  %g = (f32[4,6]{{1,0}}, bf16[2]{{0}}) {kind}(%a, %b), {groups}, dimensions={{1}}
}}

ENTRY %main (x: f32[4]) -> f32[4] {{
  %w = (s64[], f32[4]) while(%t), condition=%c, body=%body, backend_config={{{trips}}}
}}
"""
TRIPS = '"known_trip_count":{"n":"5"}'


@pytest.mark.parametrize(
    ("groups", "members"),
    [
        ("replica_groups={{0,1},{2,3}}", 2),
        ("replica_groups=[2,4]<=[8]", 4),
        ("replica_groups=[4,2]<=[2,4]T(1,0)", 2),
        ("replica_groups=mesh['a'=2,'b'=4] {'b'}", 4),
        ("replica_groups=mesh['a'=4,'b'=2], device_ids=([2,4]T(1,0)) {'a'}", 4),
        ("replica_groups=mesh['a'=2,'b'=4] {'a','b':(1)2}", 4),
    ],
)
def test_bytes_of_every_way_to_write_groups(groups, members):
    text = PROGRAM.format(kind="all-gather", groups=groups, trips=TRIPS)
    share = (members - 1) / members
    assert in_program(text) == pytest.approx({"all-gather": 5 * share * (4 * 24 + 2 * 2)})


@pytest.mark.parametrize(
    ("kind", "groups", "trips", "message"),
    [
        ("all-gather", "replica_groups=?", TRIPS, "in no known way"),
        ("all-gather", "replica_groups={{0,1}}", "", "no known length"),
        ("all-gather-start", "replica_groups={{0,1}}", TRIPS, "not counted yet"),
    ],
)
def test_bytes_that_cannot_be_counted_are_refused(kind, groups, trips, message):
    with pytest.raises(ValueError, match=message):
        in_program(PROGRAM.format(kind=kind, groups=groups, trips=trips))


@pytest.mark.slow
def test_a_run_that_is_cut_short_goes_on_over_another_mesh(tmp_path):
    """Over 2 x 4 devices, then over 8, to what one device comes to; its settings know no mesh."""
    run = process("run", str(tmp_path))
    assert run["codes"] == [0, 130, 0] and run["batches"] == [1, 2, 3]
    assert run["apart"] <= 1e-10 and min(run["rates"]) > 0.01
    assert run["configs"][0] == run["configs"][1] and "mesh" not in run["configs"][0]


def test_saved_over_eight_devices_in_parts_it_goes_on_over_any(tmp_path):
    """To the bits of a state that was never saved; the order of sums is that of the new mesh."""
    pytest.importorskip("orbax.checkpoint", reason="needs the extra orbax")
    found = process("beside", str(tmp_path))
    for name in ("one", "eight", "both"):
        assert found[name]["same"] and found[name]["lies"] and found[name]["goes_on"], name
    assert found["eight"]["uninterrupted"] and found["both"]["apart"] <= 1e-10
