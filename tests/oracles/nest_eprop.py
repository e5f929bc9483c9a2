"""Drives NEST's e-prop models with given draws; needs NEST and NumPy, not tracegrad.

    python nest_eprop.py regression draws.npz answer.json
    python nest_eprop.py classification draws.npz answer.json

`draws.npz`: `w_in` (n, m), `w_rec` (n, n), `w_out` (o, n), `feedback` (n, o), `xs` (iterations,
T, B, m) of 0 and 1, `ys` (iterations, T, B, o): what the readout shall be, or one-hot; `window`:
the last steps of a sequence, which count. `answer.json`: the loss and the number of hidden spikes
of every iteration. Times are in milliseconds and one step takes one of them.
"""

import json
import sys
from typing import Any, NamedTuple

import nest
import numpy as np

FIRST = 1.0  # a generator can emit nothing at time 0
TO_HIDDEN, TO_READOUT, TO_NORMALISATION = 1.0, 1.0, 1.0  # delays on the way to a recorded readout
RECORDED = FIRST + TO_HIDDEN + TO_READOUT + TO_NORMALISATION
SYNAPSE = "eprop_synapse_bsshslm_2020"
ALL = {"rule": "all_to_all", "allow_autapses": False}
EACH = {"rule": "one_to_one"}


class Experiment(NamedTuple):
    """The parameters of one of the two published experiments."""

    hidden: dict[str, Any]  # of every hidden neuron
    adaptive: dict[str, Any]  # of the second half in addition; empty: there is no such half
    readout: dict[str, Any]
    optimiser: dict[str, Any]
    average_gradient: bool  # over the window


def hidden(tau_m: float, v_th: float, t_ref: float, regular: bool) -> dict[str, Any]:
    """An integrate-and-fire neuron with resting potential 0 and a triangle for a surrogate."""
    return {
        "C_m": 1.0,
        "E_L": 0.0,
        "I_e": 0.0,
        "V_m": 0.0,
        "V_th": v_th,
        "tau_m": tau_m,
        "t_ref": t_ref,
        "regular_spike_arrival": regular,
        "surrogate_gradient_function": "piecewise_linear",
        "surrogate_gradient_height": 0.3 / v_th,
        "surrogate_gradient_width": v_th,
        "c_reg": 300.0,
        "f_target": 10.0,
    }


def readout(tau_m: float, loss: str) -> dict[str, Any]:
    """A leaky unit with resting potential 0."""
    rest = {"C_m": 1.0, "E_L": 0.0, "I_e": 0.0, "V_m": 0.0}
    return rest | {"tau_m": tau_m, "loss": loss, "regular_spike_arrival": False}


EXPERIMENTS = {
    "regression": Experiment(
        hidden=hidden(tau_m=30.0, v_th=0.03, t_ref=0.0, regular=False),
        adaptive={},
        readout=readout(30.0, "mean_squared_error"),
        optimiser={"type": "gradient_descent", "eta": 1e-4},
        average_gradient=False,
    ),
    "classification": Experiment(
        hidden=hidden(tau_m=20.0, v_th=0.6, t_ref=5.0, regular=True),
        adaptive={
            "adapt_tau": 2000.0,
            "adapt_beta": 1.7 * (1 - np.exp(-1 / 2000)) / (1 - np.exp(-1 / 20)),
            "adaptation": 0.0,
        },
        readout=readout(20.0, "cross_entropy"),
        optimiser={"type": "adam", "eta": 5e-3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
        average_gradient=True,
    ),
}


def populations(experiment: Experiment, draws: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Generators, relays, hidden neurons, readout and targets."""
    n, m = draws["w_in"].shape
    outputs, steps = draws["w_out"].shape[0], draws["xs"].shape[1]
    common = experiment.hidden | {"flush_event_send_interval": float(steps)}
    plain = n - n // 2 if experiment.adaptive else n
    neurons = nest.Create("eprop_iaf_bsshslm_2020", plain, common)
    if experiment.adaptive:
        neurons += nest.Create(
            "eprop_iaf_adapt_bsshslm_2020", n - plain, common | experiment.adaptive
        )
    return (
        nest.Create("spike_generator", m),
        nest.Create("parrot_neuron", m),
        neurons,
        nest.Create("eprop_readout_bsshslm_2020", outputs, experiment.readout),
        nest.Create("step_rate_generator", outputs),
    )


def connect(experiment: Experiment, draws: Any, nodes: tuple[Any, Any, Any, Any, Any]) -> None:
    """Plastic synapses, feedback of the error, targets; softmax units see one another."""
    generators, relays, neurons, outputs, targets = nodes
    batch = draws["xs"].shape[2]
    limits = {"batch_size": batch, "Wmin": -100.0, "Wmax": 100.0}
    optimiser = experiment.optimiser | limits
    average = {"average_gradient": experiment.average_gradient}
    nest.SetDefaults(SYNAPSE, average | {"optimizer": optimiser})
    plastic = {"synapse_model": SYNAPSE, "delay": 1.0, "tau_m_readout": outputs[0].tau_m}
    feedback = {"synapse_model": "eprop_learning_signal_connection_bsshslm_2020", "delay": 1.0}
    rate = {"synapse_model": "rate_connection_delayed", "delay": 1.0}
    nest.Connect(generators, relays, EACH, {"synapse_model": "static_synapse", "delay": 1.0})
    nest.Connect(relays, neurons, ALL, plastic | {"weight": draws["w_in"]})
    nest.Connect(neurons, neurons, ALL, plastic | {"weight": draws["w_rec"]})
    nest.Connect(neurons, outputs, ALL, plastic | {"weight": draws["w_out"]})
    nest.Connect(outputs, neurons, ALL, feedback | {"weight": draws["feedback"]})
    nest.Connect(targets, outputs, EACH, rate | {"receptor_type": 2})
    if experiment.readout["loss"] == "cross_entropy":
        nest.Connect(outputs, outputs, ALL, rate | {"receptor_type": 1, "weight": 1.0})


def feed(draws: Any, generators: Any, targets: Any) -> float:
    """Hand all sequences over, one after another; returns how long they last."""
    xs, ys = (np.swapaxes(draws[name], 1, 2) for name in ("xs", "ys"))  # sequence by sequence
    spikes, wanted = xs.reshape(-1, xs.shape[-1]), ys.reshape(-1, ys.shape[-1])
    generators.set([{"spike_times": FIRST + np.flatnonzero(line)} for line in spikes.T])
    times = RECORDED + np.arange(len(wanted))
    targets.set([{"amplitude_times": times, "amplitude_values": line} for line in wanted.T])
    return float(len(spikes))


def recorded(meter: Any, name: str, draws: Any) -> np.ndarray:
    """One recorded quantity of the readout, of shape (iterations, B, T, o)."""
    events = meter.get("events")
    lines = [events[name][events["senders"] == sender] for sender in np.unique(events["senders"])]
    iterations, steps, batch, outputs = draws["ys"].shape
    return np.stack(lines, axis=-1).reshape(iterations, batch, steps, outputs)


def squared_error(y: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Sum over steps and units, mean over the batch."""
    return 0.5 * ((y - target) ** 2).sum(axis=(2, 3)).mean(axis=1)


def cross_entropy(p: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Mean over steps and batch; NEST reports probabilities."""
    return -np.log((p * target).sum(axis=3)).mean(axis=(1, 2))


LOSSES = {"mean_squared_error": squared_error, "cross_entropy": cross_entropy}


def run(experiment: Experiment, draws: Any) -> dict[str, list[float]]:
    """Learn for all iterations; the loss and the number of hidden spikes of each."""
    iterations, steps, batch, _ = draws["xs"].shape
    window = int(draws["window"])
    nest.ResetKernel()
    nest.set(
        resolution=1.0,
        total_num_virtual_procs=1,
        print_time=False,
        eprop_update_interval=float(steps),
        eprop_learning_window=float(window),
        eprop_reset_neurons_on_update=True,
    )
    nodes = populations(experiment, draws)
    generators, _, neurons, outputs, targets = nodes
    connect(experiment, draws, nodes)
    duration = feed(draws, generators, targets)
    meter = nest.Create(
        "multimeter",
        params={
            "interval": 1.0,
            "record_from": ["readout_signal", "target_signal"],
            "start": RECORDED,
            "stop": RECORDED + duration,
        },
    )
    spikes = nest.Create("spike_recorder")
    nest.Connect(meter, outputs)
    nest.Connect(neurons, spikes)
    nest.Simulate(duration + RECORDED + 1.0)
    y, target = (recorded(meter, name, draws) for name in ("readout_signal", "target_signal"))
    loss = LOSSES[experiment.readout["loss"]](y[:, :, -window:], target[:, :, -window:])
    first = FIRST + TO_HIDDEN + 1.0  # a step ends one millisecond after it begins
    sequence = (np.asarray(spikes.get("events")["times"]) - first) // (steps * batch)
    counts = [int((sequence == i).sum()) for i in range(iterations)]
    return {"losses": loss.tolist(), "spikes": counts}


def main() -> None:
    """Read the draws, run the experiment, write the answer."""
    name, source, destination = sys.argv[1:]
    nest.verbosity = nest.VerbosityLevel.ERROR
    with np.load(source) as draws, open(destination, "w") as file:
        json.dump(run(EXPERIMENTS[name], dict(draws)), file)


if __name__ == "__main__":
    main()
