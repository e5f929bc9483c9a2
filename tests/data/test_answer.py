import numpy as np

from tracegrad.data.answer import answer_at_end, answers, values


def test_an_answer_at_the_end_by_hand():
    batch = answer_at_end(np.ones((4, 2, 1), dtype=bool), np.array([1, 0]), window=2)
    assert batch.ys.tolist() == [[1, 0]] * 4
    assert batch.weight.tolist() == [[0, 0], [0, 0], [0.5, 0.5], [0.5, 0.5]]
    assert batch.valid.all() and batch.xs.tolist() == np.ones((4, 2, 1)).tolist()


def test_each_sequence_shares_one_weight_among_its_own_steps():
    asked = np.array([[True, False], [True, False], [False, True]])
    batch = answers(np.zeros((3, 2, 1)), np.array([[3, 0], [1, 0], [0, 2]]), asked)
    assert batch.weight.tolist() == [[0.5, 0], [0.5, 0], [0, 1]]
    assert [a.dtype for a in batch] == [np.float32, np.int32, np.float32, np.bool_]
    real = values(np.zeros((3, 2, 1)), np.full((3, 2, 2), 0.25), asked)
    assert real.ys.shape == (3, 2, 2) and real.ys.dtype == np.float32 and (real.ys == 0.25).all()
    np.testing.assert_array_equal(real.weight, batch.weight)
