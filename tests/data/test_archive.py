import gzip
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from tracegrad.data import archive as module
from tracegrad.data.archive import unpack
from tracegrad.errors import DataError

FILES = {"set/a.txt": b"first" * 50, "set/deep/b.bin": bytes(range(256))}


def zipped(path: Path, files: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, mode << 16
            archive.writestr(info, content)
    return path


def tarred(path: Path, files: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(content), kind, "/etc/passwd"
            archive.addfile(info, io.BytesIO(content))
    return path


MAKERS = [(zipped, "set.zip"), (tarred, "set.tar.gz")]


@pytest.mark.parametrize(("make", "name"), MAKERS)
def test_unpacks(tmp_path, make, name):
    path = make(tmp_path / name, FILES)
    assert unpack(path, tmp_path) == 2
    for inside, content in FILES.items():
        assert (tmp_path / inside).read_bytes() == content
    assert sorted(p.name for p in tmp_path.iterdir()) == ["set", name]
    (tmp_path / "set" / "a.txt").write_text("changed")
    assert unpack(path, tmp_path) == 2 and (tmp_path / "set/a.txt").read_bytes() == b"first" * 50
    assert unpack(path, tmp_path, strip=1) == 2 and (tmp_path / "deep" / "b.bin").exists()


@pytest.mark.parametrize(("make", "name"), MAKERS)
@pytest.mark.parametrize(
    "inside", ["../evil", "/tmp/evil", "set/../../evil", "set\\..\\evil", "C:evil"]
)
def test_refuses_names_that_lead_out(tmp_path, make, name, inside):
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(DataError, match=f"{name}: holds the name .* leads out of the folder"):
        unpack(make(folder / name, {"set/a.txt": b"x", inside: b"evil"}), folder)
    assert sorted(p.name for p in folder.iterdir()) == [name]
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_refuses_links_in_tar(tmp_path, kind):
    with pytest.raises(DataError, match="'evil' is a link or device"):
        unpack(tarred(tmp_path / "set.tar.gz", {"evil": b""}, kind), tmp_path)


def test_refuses_a_tar_that_leads_back(tmp_path):
    """A size of -512, so that the next member is this one: tarfile reads it for ever."""
    header = bytearray(tarfile.TarInfo(".").tobuf())
    header[124:136] = b"\xff" + (256**11 - 512).to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(tarfile.TarInfo("b").tobuf() + bytes(header) + bytes(1024)))
    with pytest.raises(DataError) as told:
        unpack(path, tmp_path / "inside")
    assert "unpacks to more than" not in str(told.value)  # not only when it is full


def test_refuses_links_in_zip(tmp_path):
    path = zipped(tmp_path / "set.zip", {"evil": b"/etc/passwd"}, stat.S_IFLNK | 0o777)
    with pytest.raises(DataError, match="'evil' is a link or device"):
        unpack(path, tmp_path)


@pytest.mark.parametrize(("make", "name"), MAKERS)
def test_refuses_bombs(tmp_path, make, name, monkeypatch):
    with pytest.raises(DataError, match=f"{name}: unpacks to more than"):
        unpack(make(tmp_path / name, {"zeros": bytes(10_000_000)}), tmp_path)
    monkeypatch.setattr(module, "MOST_FILES", 1)
    with pytest.raises(DataError, match=f"{name}: unpacks to more than .* or 1 files"):
        unpack(make(tmp_path / name, FILES), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(("make", "name"), MAKERS)
def test_refuses_broken_archives(tmp_path, make, name):
    content = make(tmp_path / name, FILES).read_bytes()
    for broken in (b"", b"no archive", content[:-40]):
        (tmp_path / name).write_bytes(broken)
        with pytest.raises(DataError, match=f"{name}: (is no readable|unpacks to more)"):
            unpack(tmp_path / name, tmp_path)
    with pytest.raises(DataError, match=f"{name}: is empty"):
        unpack(make(tmp_path / name, {}), tmp_path)


def test_a_tar_that_is_cut_behind_its_last_file_or_goes_on(tmp_path):
    """What is cut there is the checksum."""
    content = tarred(tmp_path / "set.tar.gz", FILES).read_bytes()
    plain = gzip.decompress(content)
    changed = content[:-8] + bytes([content[-8] ^ 1]) + content[-7:]
    for broken, message in (
        (content[:-4], "is no readable archive"),
        (changed, "is no readable archive"),
        (gzip.compress(plain + b"more"), "goes on after the end"),
        (gzip.compress(plain + bytes(10**6)), "goes on after the end"),
    ):
        (tmp_path / "set.tar.gz").write_bytes(broken)
        with pytest.raises(DataError, match=f"set.tar.gz: {message}"):
            unpack(tmp_path / "set.tar.gz", tmp_path)
        assert [p.name for p in tmp_path.iterdir()] == ["set.tar.gz"]
