"""What holds for every test: checked types, float64 on, strict promotion, one thread a worker."""

import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "single")

os.environ.setdefault("MPLBACKEND", "Agg")  # pictures are drawn to files: a test has no screen
if WORKER != "single":
    # Workers share the cores: a pool of threads in each of them only makes the others wait.
    # XLA keeps two, because a host callback (eqx.error_if) can wait for ever on a pool of one.
    os.environ.setdefault("PJRT_NPROC", "2")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ["XLA_FLAGS"] = (
        f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
    )

# Tests are many small programs: compiling them costs far more than running them.
os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"
    " --xla_llvm_disable_expensive_passes=true"
)

# The older code generator compiles nearly three times as fast. XLA stops at a flag that it does not
# know, so it is given to versions that are known to have it.
if tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 11):
    os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"

# The settings above are read when these are imported, so they come after them.
import hypothesis  # noqa: E402
import jax  # noqa: E402
import jaxtyping  # noqa: E402

# Before any import of tracegrad: shapes and types of every annotated function are checked.
jaxtyping.install_import_hook("tracegrad", "beartype.beartype")

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Compiled programs are kept between runs, keyed by their content. JAX writes an entry in place, so
# that another process could read half of it: one folder a worker.
jax.config.update("jax_compilation_cache_dir", str(ROOT / ".cache" / "jax" / WORKER))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

# The same examples in every run; a first example compiles, so no deadline. With --slow there are
# more: a property that compiles for every example says for itself how many are enough.
for profile, examples in (("fixed", 1000), ("slow", 10_000)):
    hypothesis.settings.register_profile(
        profile, derandomize=True, deadline=None, database=None, max_examples=examples
    )
hypothesis.settings.load_profile("fixed")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--slow"):
        hypothesis.settings.load_profile("slow")


@pytest.fixture(autouse=True, scope="module")
def _programs_of_a_module() -> Iterator[None]:
    """A process may map 65,530 pieces of memory, and two thousand tests' programs are more."""
    yield
    jax.clear_caches()


ASKED_FOR = {"slow": "run the longer studies too", "properties": "run many random networks too"}


def pytest_addoption(parser: pytest.Parser) -> None:
    for marker, text in ASKED_FOR.items():
        parser.addoption(f"--{marker}", action="store_true", help=text)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = {marker for marker in ASKED_FOR if not config.getoption(f"--{marker}")}
    dropped = [item for item in items if left_out & {mark.name for mark in item.iter_markers()}]
    items[:] = [item for item in items if item not in dropped]
    config.hook.pytest_deselected(items=dropped)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data that lies beside the repository; the test is skipped without it."""
    named = os.environ.get("TRACEGRAD_SHARED")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no shared data in {folder}: set TRACEGRAD_SHARED to the folder that holds it")
    return folder


@pytest.fixture
def as_user() -> Iterator[None]:
    """Without the type checks of a test run: a user's wrong array meets our own message."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
