"""compiler: C source to a function that XLA calls, compiled once and kept by its digest.

The C compiler is `$CC`, else cc, gcc or clang. Libraries are kept in `$TRACEGRAD_CACHE`, else in
the user's cache folder; a library made for one processor is never loaded on another.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import jax

_HERE = Path(__file__).resolve().parent
_FLAGS = (
    "-O3",
    "-march=native",
    "-std=c11",
    "-fPIC",
    "-shared",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
)
_TOGETHER = ("-mprefer-vector-width=512",)


class NoCompilerError(RuntimeError):
    """There is no C compiler, or it refused the code; the caller falls back to XLA."""


@cache
def compiler() -> str | None:
    """The path of the C compiler, if there is one."""
    names = (os.environ["CC"],) if os.environ.get("CC") else ("cc", "gcc", "clang")
    return next((found for name in names if (found := shutil.which(name))), None)


@cache
def _cache() -> Path:
    given = os.environ.get("TRACEGRAD_CACHE")
    base = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(given or Path(base) / "tracegrad").expanduser()


@cache
def _processor() -> str:
    """What the machine code depends on besides its source."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()} {platform.processor()} {flags}"


@cache
def _headers() -> str:
    """Digest of the C files that generated code includes."""
    joined = b"".join(path.read_bytes() for path in sorted(_HERE.glob("*.h")))
    return hashlib.sha256(joined).hexdigest()


@cache
def target(source: str, function: str) -> str:
    """Compile `source` if need be and register its `function` with XLA; returns the name.

    `NoCompilerError` where it cannot be compiled.
    """
    made = compiler()
    if made is None:
        raise NoCompilerError("There is no C compiler. Install one, or set CC to its path.")
    extra = tuple(os.environ.get("TRACEGRAD_CFLAGS", "").split())
    parts = (source, _headers(), made, *_FLAGS, *_TOGETHER, *extra, _processor(), jax.__version__)
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
    library = _cache() / f"{digest}.so"
    if not library.exists():
        _compile(made, source, library, extra)
    name = f"tracegrad_{function}_{digest}"
    handler = getattr(ctypes.CDLL(str(library)), function)
    jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(handler), platform="cpu")
    return name


def _compile(made: str, source: str, library: Path, extra: tuple[str, ...]) -> None:
    """Written beside its place and moved there whole, so that no other process sees a part."""
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        code, out = Path(folder) / "kernel.c", Path(folder) / "kernel.so"
        code.write_text(source)
        include = (f"-I{_HERE}", f"-I{jax.ffi.include_dir()}")
        base = [made, *_FLAGS, *extra, *include, str(code), "-o", str(out), "-lm"]
        done = subprocess.run([*base, *_TOGETHER], capture_output=True, text=True, check=False)
        if done.returncode:  # not every compiler knows every flag
            done = subprocess.run(base, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoCompilerError(f"{made} refused the code: {done.stderr.strip()[:500]}")
        out.replace(library)
