"""A tree with leaves of every kind that a state can have, and whether two are equal bit for bit."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from jax import random


def tree(key: jax.Array) -> dict:
    """Leaves of every kind that a state can have."""
    return {
        "keys": random.split(key, (2, 3)),
        "one": (jnp.asarray(jnp.nan), jnp.asarray(-0.0, jnp.float32), None),
        "whole": [jnp.arange(3, dtype=jnp.int8), np.arange(2, dtype=np.uint64)],
        "short": random.normal(key, (2, 2)).astype(jnp.bfloat16),
        "tiny": jnp.asarray([1, -8], jnp.int4),
        "wave": jax.lax.complex(random.normal(key, (2,)), jnp.ones(2)),
        "flags": jnp.asarray([True, False]),
        "plain": (True, -7, 0.1),
        "nothing": np.zeros((0, 3), ml_dtypes.float8_e5m2),
    }


def same_arrays(ours: dict, theirs: dict) -> bool:
    """Equal bit for bit, NaN and the sign of zero included."""
    return ours.keys() == theirs.keys() and all(
        (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
        for a, b in ((ours[name], theirs[name]) for name in ours)
    )


def assert_same_leaves(ours: dict, theirs: dict) -> None:
    """Of the same kinds, where they lie included."""
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert type(a) is type(b)
        assert not isinstance(a, jax.Array) or (a.dtype, a.sharding) == (b.dtype, b.sharding)
