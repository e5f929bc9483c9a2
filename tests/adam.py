"""Adam in tests, where no type may mix."""

from collections.abc import Iterator

import jax
import optax
import pytest


@pytest.fixture(scope="session", autouse=True)
def lenient_adam() -> Iterator[None]:
    """Let optax alone mix types: its Adam raises a real to the power of a whole number."""
    strict = optax.adam

    def adam(*arguments: object) -> optax.GradientTransformation:
        made = strict(*arguments)

        def update(*arguments: object) -> tuple:
            with jax.numpy_dtype_promotion("standard"):
                return made.update(*arguments)

        return optax.GradientTransformation(made.init, update)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optax, "adam", adam)
        yield
