"""How far does each layer's gradient turn from BPTT with depth? Three feed-forward LIF layers."""

import argparse

import jax
import jax.numpy as jnp
import result
from cosine import cosine, draw, gradients

import tracegrad as tg
from tracegrad.learn.downstream_leak import DownstreamLeak
from tracegrad.learn.graph import Graph

TAU, INPUTS, HIDDEN, OUTPUTS, STEPS = 10e-3, 50, 64, 10, 50
RULES = {
    "spatial only": tg.Rule(
        "spatial", "no past", Graph(window=1), tg.NoFilter(), tg.signals.ThroughReadout()
    ),
    "per layer (OSTL, OTTT)": tg.rules.eprop(filter=tg.NoFilter()),
    "filtered once by the downstream leak": tg.rules.eprop(filter=DownstreamLeak()),
    "OTPE": tg.rules.otpe(),
}


def network(readout: float | None, gain: float) -> tg.Network:
    """64 LIF neurons three times, resets detached, one leak."""
    neuron = tg.LIF(tau_mem=TAU, reset=tg.SubtractReset(detached=True))
    sizes = (INPUTS, HIDDEN, HIDDEN, HIDDEN)
    layers = [
        tg.Layer(tg.Dense(m, n, gain=gain), neuron) for m, n in zip(sizes, sizes[1:], strict=False)
    ]
    return tg.Network(*layers, readout=tg.Readout(HIDDEN, OUTPUTS, tau=readout), dt=1e-3)


def main() -> None:
    """Compare all rules under both readouts and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", type=int, default=20)
    parser.add_argument("--gain", type=float, default=1.4)
    parser.add_argument("--rate", type=float, default=0.2)
    parser.add_argument("--batch", type=int, default=1)
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    rows = []
    for name, readout in (("memoryless", None), ("leaky", TAU)):
        blank = network(readout, arguments.gain)
        networks, data = draw(blank, arguments.nets, STEPS, arguments.batch, arguments.rate)
        # One target for a whole sequence, as of a class.
        data = data._replace(ys=jnp.broadcast_to(data.ys[:, :1], data.ys.shape))
        exact, rates = gradients(networks, tg.rules.bptt(), data)
        for rule, made in RULES.items():
            ours, _ = gradients(networks, made, data)
            layers = [
                cosine(a.input.weight, b.input.weight)
                for a, b in zip(ours.layers, exact.layers, strict=True)
            ]
            rows.append({"readout": name, "rule": rule, "layers": layers, "rates": rates})
            print(name, rule, [round(layer["cosine"], 3) for layer in layers], rates, flush=True)
    settings = vars(arguments) | {"tau": TAU, "steps": STEPS, "hidden": [HIDDEN] * 3}
    print(result.write("depth_cosine", settings | {"float": "float64"}, rows))


if __name__ == "__main__":
    main()
