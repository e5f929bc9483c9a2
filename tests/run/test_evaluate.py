"""Evaluation, counted by hand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tracegrad as tg
from tracegrad.data import Batch
from tracegrad.run.confusion import confusion
from tracegrad.run.evaluate import Evaluator, count_right, on_device, pad_steps, share_right


def batch(xs, ys, weight, valid) -> Batch:
    return Batch(
        np.asarray(xs, np.float32),
        np.asarray(ys, np.int32),
        np.asarray(weight, np.float32),
        np.asarray(valid, bool),
    )


LOSS = tg.losses.cross_entropy()

# Three steps; sequence 0 is of class 0, sequence 1 of class 1 (its first step has no weight and
# another label), sequence 2 fills up the batch.
WEIGHT = [[1 / 3, 0.0, 0.0], [1 / 3, 0.5, 0.0], [1 / 3, 0.5, 0.0]]
VALID = [[True, True, False]] * 3
LABELS = [[0, 0, 0], [0, 1, 0], [0, 1, 0]]


def readout(first, second) -> jnp.ndarray:
    """Readout of two classes: the second of each sequence is 0, the first as given."""
    values = np.zeros((3, 3, 2))
    values[:, 0, 0], values[:, 1, 0] = first, second
    values[:, 2, 0] = 9.0
    return jnp.asarray(values)


@pytest.mark.parametrize(
    ("first", "second", "right"),
    [
        ([1, 1, 1], [-1, -1, -1], 2),
        ([-5, 1, 1], [-1, -1, -1], 1),  # the mean decides, not the last step
        ([1, 1, 1], [-9, 1, 1], 1),  # a step of weight 0 does not count
        ([-1, -1, -1], [1, 1, 1], 0),
    ],
)
def test_right_sequences_are_counted(first, second, right):
    example = batch(np.zeros((3, 3, 1)), LABELS, WEIGHT, VALID)
    assert count_right(LOSS, readout(first, second), example) == right


def test_right_steps_are_shared_out():
    """Sequence 0 has two right steps of three; 1 one of two, and its step without weight is not
    asked; 2 fills up the batch.
    """
    example = batch(np.zeros((3, 3, 1)), LABELS, WEIGHT, VALID)
    outputs = readout([1, -1, 1], [-1, 1, -1])
    assert share_right(outputs, example) == pytest.approx(2 / 3 + 1 / 2)
    assert Evaluator(LOSS, stepwise=True).right(outputs, example) == pytest.approx(2 / 3 + 1 / 2)
    assert Evaluator(LOSS).right(outputs, example) == count_right(LOSS, outputs, example) == 1
    values = example._replace(ys=np.zeros((3, 3, 2), np.float32))
    assert share_right(outputs, values) is None


def test_values_have_no_accuracy():
    example = batch(np.zeros((3, 3, 1)), LABELS, WEIGHT, VALID)
    example = example._replace(ys=np.zeros((3, 3, 2), np.float32))
    assert count_right(LOSS, readout([1] * 3, [1] * 3), example) is None


def network() -> tg.Network:
    """Two neurons that copy their input as spikes, and a memoryless readout that copies them."""
    eye = jnp.eye(2)
    layer = tg.Layer(tg.Dense.from_arrays(2.0 * eye), tg.LIF(tau_mem=1e-6, reset=tg.NoReset()))
    net = tg.Network(layer, readout=tg.Readout(2, 2, tau=None), dt=1e-3).init(jax.random.key(0))
    return eqx.tree_at(lambda net: net.readout.input.weight, net, eye)


def spikes() -> np.ndarray:
    """Sequence 0: line 0 twice; 1: line 0 at step 0, line 1 at steps 1 and 2; 2: never."""
    xs = np.zeros((3, 3, 2))
    xs[:2, 0, 0] = 1
    xs[0, 1, 0] = xs[1, 1, 1] = xs[2, 1, 1] = 1
    return xs


def test_a_network_is_scored_as_by_hand():
    example = batch(spikes(), LABELS, WEIGHT, VALID)
    score = Evaluator(tg.losses.cross_entropy())(network(), [example])
    right = np.log(1 + np.exp(-1.0))  # the class leads by 1
    even = np.log(2.0)
    assert score.right == 2 and score.sequences == 2 and score.accuracy == 1.0
    expected = (2 * right + even) / 3 + right
    assert score.total_loss == pytest.approx(expected, rel=1e-6)  # weights are float32
    assert score.loss == pytest.approx(expected / 2, rel=1e-6)
    assert score.rate == pytest.approx(5 / (6 * 2))


def test_a_ragged_batch_scores_like_its_sequences_alone(tiny):
    evaluate = Evaluator(tg.losses.cross_entropy())
    net = tg.Network(
        tg.Layer(tg.Dense(6, 8, gain=4.0), tg.LIF(), recurrent=tg.Dense(8, 8)),
        readout=tg.Readout(8, 2, tau=5e-3),
        dt=1e-3,
    ).init(jax.random.key(1))
    together = evaluate(net, tiny.test.batches(8, None))
    assert together.sequences == 13 and 0.01 < together.rate < 0.9
    longer = (pad_steps(b, 7) for b in tiny.test.batches(8, None))
    padded = evaluate(net, longer)
    plain = {"total_loss": 0.0, "confusion": None}  # the loss to rounding, the table by itself
    assert padded._replace(**plain) == together._replace(**plain)
    np.testing.assert_array_equal(padded.confusion, together.confusion)
    assert padded.total_loss == pytest.approx(together.total_loss, rel=1e-12)
    cut = []
    for one in tiny.test.batches(1, None):
        steps = int(one.valid.sum())
        cut.append(evaluate(net, [Batch(*(a[:steps] for a in one))]))
    assert sum(s.right for s in cut) == together.right
    total = sum(s.total_loss for s in cut)
    assert total == pytest.approx(together.total_loss, rel=1e-12)


def test_padding_adds_steps_that_do_not_exist():
    example = batch(spikes(), LABELS, WEIGHT, VALID)
    padded = pad_steps(example, 4)
    assert padded.xs.shape == (4, 3, 2) and padded.ys.shape == (4, 3)
    assert not padded.valid[3].any() and not padded.weight[3].any()
    assert pad_steps(example, 3).xs.shape == (3, 3, 2)


def test_arrays_reach_the_device_in_the_precision_of_jax():
    moved = on_device(batch(spikes(), LABELS, WEIGHT, VALID))
    assert moved.xs.dtype == jnp.float64 and moved.ys.dtype == jnp.int32
    assert moved.valid.dtype == jnp.bool_


def test_regression_loss_is_half_the_squared_error_over_steps():
    example = batch(spikes(), LABELS, np.ones((3, 3)) * np.array([1, 1, 0]), VALID)
    example = example._replace(ys=np.zeros((3, 3, 2), np.float32))
    score = Evaluator(tg.losses.mean_squared_error())(network(), [example])
    assert score.accuracy is None
    assert score.loss == pytest.approx(0.5 * 5 / 2)


def test_a_loss_of_the_whole_sequence_decides_by_its_own_score():
    example = batch(np.zeros((3, 3, 1)), LABELS, WEIGHT, VALID)
    values = readout([-3, 1, -3], [1, 1, -9])  # the mean says 1 and 1, the largest says 0 and 0
    assert count_right(LOSS, values, example) == 1
    assert count_right(tg.losses.max_over_time(), values, example) == 1
    right = readout([-3, 1, -3], [5, -1, -9])  # what comes before the label does not count
    assert count_right(LOSS, right, example) == 1
    assert count_right(tg.losses.max_over_time(), right, example) == 2


def test_evaluation_filters_the_targets_of_a_distance():
    net = network()
    read = tg.Readout.of(tg.DoubleExponential(), 2, 2)
    net = tg.Network(*net.layers, readout=read, dt=1e-3).init(jax.random.key(0))
    object.__setattr__(net.readout, "input", tg.Dense.from_arrays(jnp.eye(2)))
    xs = np.zeros((3, 3, 2), np.float32)
    xs[0, 0, 0] = xs[2, 1, 1] = 2.0
    example = batch(xs, LABELS, np.ones((3, 3)), np.ones((3, 3), bool))
    spikes = np.asarray(net(jnp.asarray(xs, float))[0][0])
    same = Evaluator(tg.losses.van_rossum())(net, [example._replace(ys=spikes.astype(np.float32))])
    assert spikes.sum() == 2 and same.loss == 0.0


def test_sequences_are_put_where_class_and_answer_meet():
    """Both sequences are taken for class 0; the one that fills up the batch does not count."""
    example = batch(np.zeros((3, 3, 1)), LABELS, WEIGHT, VALID)
    table = confusion(LOSS, readout([1, 1, 1], [1, 1, 1]), example, False)
    np.testing.assert_array_equal(table, [[1, 0], [1, 0]])


def test_steps_are_put_where_class_and_answer_meet():
    """Sequence 0 is right in two steps of three; 1 in one of the two that are asked."""
    example = batch(np.zeros((3, 3, 1)), LABELS, WEIGHT, VALID)
    table = confusion(LOSS, readout([1, -1, 1], [-1, 1, -1]), example, True)
    np.testing.assert_allclose(table, [[2 / 3, 1 / 3], [0.5, 0.5]], rtol=1e-6)


def test_values_have_no_confusion():
    example = batch(np.zeros((3, 3, 1)), LABELS, WEIGHT, VALID)
    values = example._replace(ys=np.zeros((3, 3, 2), np.float32))
    assert confusion(LOSS, readout([1, 1, 1], [1, 1, 1]), values, False) is None
