"""The NIR paper's graphs: they load, and spike as in the simulators of the paper."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate2d

import tracegrad as tg
from tracegrad.errors import DataError
from tracegrad.interop.hdf5 import read_file


@pytest.fixture(scope="module")
def reference(shared):
    return shared / "nir_reference"


def outputs(network, xs):
    """The outputs of every stage for inputs (time, batch, lines)."""
    return [np.asarray(z) for z in jax.jit(lambda x: network(x)[0])(jnp.asarray(xs, float))]


@pytest.mark.parametrize("simulator", ["norse", "exact", "snntorch", "nengo", "spinnaker2"])
def test_the_lif_spikes_as_in_five_simulators(reference, simulator):
    x, v, spikes = np.loadtxt(reference / f"lif/lif_{simulator}.csv", delimiter=",").T
    network = tg.from_nir(reference / "lif/lif_norse.nir", dt=1e-4, euler=True)
    z = outputs(network, x[:, None, None])[0][:, 0, 0]
    assert np.flatnonzero(z).tolist() == [460, 510, 710, 760] == np.flatnonzero(spikes).tolist()
    if simulator == "norse":
        alpha = float(network.layers[0].neuron.coefficients(1e-4)["alpha"])
        potential, found = 0.0, []
        for current, spike in zip(x, z, strict=True):
            potential = (alpha * potential + (1 - alpha) * current) * (1 - spike)
            found.append(potential)
        assert np.abs(np.array(found) - v).max() <= 3e-8, "theirs are in single precision"


def test_two_lif_neurons_load_with_their_leak_as_bias(reference):
    network = tg.from_nir(reference / "lif/two_lif_neurons.nir", dt=1e-4)
    first, second = network.layers
    assert float(first.input.bias[0]) == 1.2 and second.input.bias is None
    assert float(second.neuron.v_threshold.value) == pytest.approx(20.0)
    z = outputs(network, np.zeros((400, 1, 1)))[0]
    # v = 1.2 (1 - e^(-t/tau)) passes 1 at t = tau ln 6, 17.9 ms.
    assert np.flatnonzero(z).tolist() == [179, 359]


BRAILLE = "braille_srnn/braille_noDelay_bias_zero"


@pytest.fixture(scope="module")
def braille(reference):
    return tg.from_nir(reference / f"{BRAILLE}.nir", dt=1e-4, euler=True)


def test_the_braille_network_has_every_spike_of_snntorch(reference, braille):
    x = np.load(reference / "braille_srnn/ds_test_0_input.npz")["x"]
    activity = np.load(reference / "braille_srnn/snntorch_activity_noDelay_bias_zero.npy")
    hidden, output, passed = outputs(braille, x[:, None])
    assert hidden[:, 0].sum() == activity.sum() == 119
    np.testing.assert_array_equal(hidden[:, 0], activity)
    assert output.sum(0).tolist() == [[10, 160, 112, 113, 103, 68, 121]]
    np.testing.assert_array_equal(output, passed)
    exact = tg.from_nir(reference / f"{BRAILLE}.nir", dt=1e-4)
    assert (outputs(exact, x[:, None])[0][:, 0] != activity).any(), "the method must matter"


def test_the_braille_network_is_as_right_as_the_reference(reference, braille, shared):
    letters = np.load(shared / "braille_letters/braille7_events.npz")
    counts = np.load(reference / "braille_srnn/derived_pool_outputs.npz")
    theirs = counts["noDelay_bias_zero_counts"]
    right = float((theirs.argmax(1) == letters["y"]).mean())
    assert right == pytest.approx(0.9637, abs=1e-4)
    ours = outputs(braille, letters["x"].transpose(1, 0, 2))[1].sum(0)
    assert abs((ours.argmax(1) == letters["y"]).mean() - right) < 0.003
    assert (ours != theirs).any(1).sum() <= 3, "rounding flips a spike of a few sequences"


def test_a_graph_whose_edges_name_no_node_is_refused_and_loads_when_mended(reference, braille):
    path = reference / f"{BRAILLE}_subgraph.nir"  # its edges name "lif", its node is "lif1"
    with pytest.raises(DataError, match="An edge names lif1/lif, but there is no such node"):
        tg.from_nir(path, dt=1e-4, euler=True)

    class Mended:
        def to_dict(self):
            graph = read_file(path)
            inner = graph["nodes"]["lif1"]["nodes"]
            inner["lif"] = inner.pop("lif1")
            return graph

    mended = tg.from_nir(Mended(), dt=1e-4, euler=True)
    for a, b in zip(jax.tree.leaves(mended), jax.tree.leaves(braille), strict=True):
        np.testing.assert_array_equal(a, b)


def recordings(shared, chosen, steps=300):
    """Binary frames of 1 ms, (time, recordings, 2 x 34 x 34), polarity first, and the labels."""
    held = np.load(shared / "nmnist_small/nmnist_1000_100.npz")
    xs = np.zeros((steps, len(chosen), 2, 34, 34))
    for place, index in enumerate(chosen):
        part = slice(*held["offset"][index : index + 2])
        time, x, y, p = (held[name][part] for name in ("t_us", "x", "y", "p"))
        here = time // 1000 < steps
        np.add.at(xs, (time[here] // 1000, place, p[here], y[here], x[here]), 1)
    return xs.reshape(steps, len(chosen), -1), held["label"][chosen]


def convolved(x, weight, stride, padding):
    """Cross-correlation of (channels, rows, columns), one output channel after the other."""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    maps = [sum(correlate2d(a, k, "valid") for a, k in zip(x, kernel, strict=True))
            for kernel in weight]  # fmt: skip
    return np.array(maps)[:, ::stride, ::stride]


def counted(reference, xs):
    """Spikes of the five populations for frames (time, 2, 34, 34), in plain NumPy."""
    p = np.load(reference / "nmnist_cnn/cnn_sinabs_params.npz")
    v, counts = [0.0] * 5, [0.0] * 5
    for x in xs:
        for index, name in enumerate(("0", "2", "5", "9", "11")):
            weight = p[f"{name}/weight"]
            if index in (2, 3):  # sums over 2 x 2
                x = x.reshape(len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2).sum((2, 4))
            if index < 3:
                current = convolved(x, weight, p[f"{name}/stride"][0], p[f"{name}/padding"][0])
            else:
                current = weight @ x.ravel()
            v[index] = v[index] + current
            x = (v[index] > 1).astype(float)
            v[index] = v[index] - x
            counts[index] += x.ravel()
    return counts


def test_the_convolutional_network_spikes_as_in_plain_numpy(reference, shared):
    network = tg.from_nir(reference / "nmnist_cnn/cnn_sinabs.nir", 1e-3, reset=tg.SubtractReset())
    xs, _ = recordings(shared, np.array([4]), steps=30)
    found = outputs(network, xs)
    expected = counted(reference, xs[:, 0].reshape(-1, 2, 34, 34))
    assert all(counts.sum() > 0 for counts in expected), "every population must spike"
    for population, counts in zip((0, 1, 3, 5, 6), expected, strict=True):
        np.testing.assert_array_equal(found[population][:, 0].sum(0), counts)


def check_digits(reference, shared, chosen, most):
    network = tg.from_nir(reference / "nmnist_cnn/cnn_sinabs.nir", 1e-3, reset=tg.SubtractReset())
    assert [layer.input.outputs for layer in network.layers] == [
        4096, 4096, 1024, 512, 128, 256, 10,
    ]  # fmt: skip
    xs, labels = recordings(shared, chosen)
    counts = outputs(network, xs)[-1].sum(0)
    theirs = np.load(reference / "nmnist_cnn/derived_output_counts.npz")["single_spike"][chosen]
    assert counts.sum() > 100 * len(chosen)
    assert (counts != theirs).any(1).sum() <= most
    assert (counts.argmax(1) == labels).mean() >= (theirs.argmax(1) == labels).mean() - 0.003


@pytest.mark.slow
def test_the_convolutional_network_counts_as_the_reference_on_a_hundred(reference, shared):
    for start in range(0, 100, 20):
        check_digits(reference, shared, np.arange(1000 + start, 1020 + start), most=1)
