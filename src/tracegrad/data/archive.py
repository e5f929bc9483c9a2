"""Archive: zip and tar.gz files, unpacked so that nothing lands elsewhere or grows without end."""

import gzip
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from tracegrad.errors import DataError

MOST_FILES = 300_000  # N-MNIST has 70,000 and Speech Commands 106,000
LARGEST = 2**35  # bytes of all files together, 32 GB; the largest set unpacks to 4 GB
PADDING = 2**16  # bytes of zeros that may follow the last file of a tar
RATIO = 100  # how many times larger than the archive; SHD and N-MNIST shrink to a half


class _Member(NamedTuple):
    name: str
    size: int
    content: IO[bytes]


def unpack(path: Path, folder: Path, strip: int = 0) -> int:
    """Unpack a .zip or .tar.gz into `folder`, and give the number of files.

    The first `strip` parts of a name are left out. Refuses absolute names, `..`, links, devices,
    and archives that grow more than a hundredfold or beyond 32 GB. Files come into place when all
    of them are unpacked, one by one.
    """
    staging = folder / f".{path.name}.unpacking"
    shutil.rmtree(staging, ignore_errors=True)
    try:
        with closing(_members(path)) as members:
            count = _write(members, path, staging, strip)
        for part in sorted(staging.iterdir()):
            _move(part, folder / part.name)
        return count
    except DataError:
        raise
    except Exception as error:  # a hostile archive makes zipfile and tarfile raise nearly anything
        raise DataError(f"{path}: is no readable archive ({error}). Download it again.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write(members: Iterator[_Member], path: Path, staging: Path, strip: int) -> int:
    most = min(LARGEST, RATIO * path.stat().st_size)
    count = total = 0
    for member in members:
        total, count = total + member.size, count + 1
        if total > most or count > MOST_FILES:
            raise DataError(
                f"{path}: unpacks to more than {most} bytes or {MOST_FILES} files. This is no data "
                "set; remove it."
            )
        parts = _parts(member.name, path)[strip:]
        if not parts:
            continue
        target = staging.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:
            shutil.copyfileobj(member.content, out)
    if not count:
        raise DataError(f"{path}: is empty. Download it again.")
    return count


def _parts(name: str, path: Path) -> tuple[str, ...]:
    """The parts of a name that leads nowhere but down."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name or "\0" in name:
        raise DataError(f"{path}: holds the name {name!r}, which leads out of the folder.")
    return pure.parts


def _members(path: Path) -> Generator[_Member, None, None]:
    return _zip(path) if path.suffix == ".zip" else _tar(path)


def _zip(path: Path) -> Generator[_Member, None, None]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise DataError(f"{path}: {info.filename!r} is a link or device. Remove it.")
            if not info.is_dir():
                with archive.open(info) as content:
                    yield _Member(info.filename, info.file_size, content)


def _tar(path: Path) -> Generator[_Member, None, None]:
    with gzip.open(path) as packed, tarfile.open(fileobj=packed, mode="r:") as archive:
        before = -1
        for info in archive:
            if info.offset <= before:  # a negative size leads back, for ever
                raise DataError(f"{path}: {info.name!r} has a size below 0. Download it again.")
            before = info.offset
            if not (info.isreg() or info.isdir()):
                raise DataError(f"{path}: {info.name!r} is a link or device. Remove it.")
            content = archive.extractfile(info)
            if content is not None:
                yield _Member(info.name, info.size, content)
        rest = packed.read(PADDING + 1)  # up to the end, where gzip compares its checksum
        if len(rest) > PADDING or rest.strip(b"\0"):
            raise DataError(f"{path}: goes on after the end of the archive. Download it again.")


def _move(source: Path, target: Path) -> None:
    """Move a file or, part by part, a folder; what is there already is replaced."""
    if source.is_dir():
        target.mkdir(exist_ok=True)
        for part in sorted(source.iterdir()):
            _move(part, target / part.name)
    else:
        source.replace(target)
