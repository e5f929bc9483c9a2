"""Downloads from a server of our own, in a thread: whole, broken off, resumed, changed, wrong."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from tracegrad.data import download as module
from tracegrad.data.catalogue import RemoteFile
from tracegrad.data.download import DIGESTS, download
from tracegrad.errors import DataError

CONTENT = np.random.default_rng(0).integers(0, 256, 900_000).astype(np.uint8).tobytes()
SHA = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Server(ThreadingHTTPServer):
    """Serves `content` under `etag`, and breaks off after `sends[0]` bytes of the next answer."""

    content, etag, ranges = CONTENT, '"one"', True
    status, location, content_range = 0, "", ""

    def __init__(self):
        ThreadingHTTPServer.__init__(self, ("127.0.0.1", 0), Handler)
        self.sends: list[int] = []
        self.asked: list[str | None] = []
        self.handle_error = lambda *_: None  # a client that hangs up is what is tested
        self.url = f"http://127.0.0.1:{self.server_address[1]}/set.bin"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format, *args):
        pass

    def do_GET(self):
        server = self.server
        server.asked.append(self.headers.get("Range"))
        if server.status:
            self.send_response(server.status)
            self.send_header("Location", server.location)
            self.end_headers()
            return
        start, asked = 0, re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", server.etag) == server.etag
        if asked and server.ranges and same:
            start = int(asked[1])
        body = server.content[start:]
        self.send_response(206 if start else 200)
        end = len(server.content)
        if start:
            known = server.content_range or f"bytes {start}-{end - 1}/{end}"
            self.send_header("Content-Range", known)
        if server.etag:
            self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.sends.pop(0)] if server.sends else body)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_file_and_its_digest(server, tmp_path):
    file = RemoteFile(server.url, "set.bin", SHA)
    assert download(file, tmp_path / "set") == "sha256 as known"
    assert (tmp_path / "set" / "set.bin").read_bytes() == CONTENT
    assert json.loads((tmp_path / "set" / DIGESTS).read_text()) == {"set.bin": SHA}
    assert sorted(p.name for p in (tmp_path / "set").iterdir()) == [DIGESTS, "set.bin"]
    assert download(file, tmp_path / "set") == "sha256 as known" and server.asked == [None]


def test_md5_is_compared_too(server, tmp_path):
    md5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
    assert download(RemoteFile(server.url, "set.bin", md5), tmp_path) == "md5 as known"
    with pytest.raises(DataError, match="set.bin: its digest is not md5:0000, so it is damaged"):
        download(RemoteFile(server.url, "set.bin", "md5:0000"), tmp_path)


def test_an_unknown_digest_is_recorded_and_compared_from_then_on(server, tmp_path):
    file = RemoteFile(server.url, "set.bin", None)
    assert download(file, tmp_path) == f"digest unknown, now {SHA}"
    assert download(file, tmp_path) == "as at the first download"
    (tmp_path / "set.bin").unlink()
    server.content = CONTENT[::-1]
    with pytest.raises(DataError, match=f"its digest is not {SHA}, so it is damaged or was chang"):
        download(file, tmp_path)
    assert not (tmp_path / "set.bin").exists()


def test_a_broken_connection_is_resumed(server, tmp_path):
    server.sends = [300_000, 200_000]
    assert download(RemoteFile(server.url, "set.bin", SHA), tmp_path) == "sha256 as known"
    assert server.asked == [None, "bytes=300000-", "bytes=500000-"]


def test_a_later_call_goes_on(server, tmp_path):
    server.sends = [300_000, 0, 0]
    file = RemoteFile(server.url, "set.bin", SHA)
    with pytest.raises(DataError, match="connection broke after 300000 bytes .* again to go on"):
        download(file, tmp_path)
    assert (tmp_path / "set.bin.part").stat().st_size == 300_000
    server.asked.clear()
    download(file, tmp_path)
    assert server.asked == ["bytes=300000-"]
    assert (tmp_path / "set.bin").read_bytes() == CONTENT
    assert not list(tmp_path.glob("*.part*"))


@pytest.mark.parametrize("change", [{"ranges": False}, {"etag": '"two"'}, {"etag": ""}])
def test_starts_over_where_the_rest_would_not_fit(server, tmp_path, change):
    server.etag = change.get("etag", server.etag) and server.etag
    server.sends = [300_000, 0, 0]
    with pytest.raises(DataError, match="the connection broke after"):
        download(RemoteFile(server.url, "set.bin", SHA), tmp_path)
    for name, value in change.items():
        setattr(server, name, value)
    server.content = CONTENT[::-1]
    digest = f"sha256:{hashlib.sha256(CONTENT[::-1]).hexdigest()}"
    download(RemoteFile(server.url, "set.bin", digest), tmp_path)
    assert (tmp_path / "set.bin").read_bytes() == CONTENT[::-1]


def test_another_part_than_asked_for_is_refused(server, tmp_path):
    server.sends, server.content_range = [300_000], "bytes 5-899999/900000"
    with pytest.raises(DataError, match="the server sent another part than asked for"):
        download(RemoteFile(server.url, "set.bin", SHA), tmp_path)


def test_too_much_is_refused(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 1000)
    with pytest.raises(DataError, match="announces 900000 bytes, more than 1000"):
        download(RemoteFile(server.url, "set.bin", SHA), tmp_path)


def test_what_the_server_says(server, tmp_path):
    server.status = 404
    with pytest.raises(DataError, match="set.bin: the server answers 404. Try again later"):
        download(RemoteFile(server.url, "set.bin", SHA), tmp_path)
    server.status, server.location = 302, "file:///etc/passwd"
    with pytest.raises(DataError, match="set.bin: the server answers 302"):
        download(RemoteFile(server.url, "set.bin", SHA), tmp_path)


def test_no_step_down_from_https():
    request = module.urllib.request.Request("https://a.example/x")
    with pytest.raises(DataError, match="redirects to http://b.example/x, which is not HTTPS"):
        module._Redirect().redirect_request(request, None, 302, "", {}, "http://b.example/x")


def test_broken_records_are_one_sentence(server, tmp_path):
    for text, message in (("{", "is no readable JSON"), ('{"a": "b"}', "must give a SHA-256")):
        (tmp_path / DIGESTS).write_text(text)
        with pytest.raises(DataError, match=f"{DIGESTS}: {message}"):
            download(RemoteFile(server.url, "set.bin", None), tmp_path)
