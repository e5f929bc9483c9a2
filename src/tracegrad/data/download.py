"""Download: a file from the network, resumed where it broke off, its digest compared."""

import http.client
import json
import logging
import re
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from tracegrad.data.catalogue import RemoteFile
from tracegrad.data.extras import extra
from tracegrad.errors import DataError

LARGEST = 2**33  # bytes of a file, 8 GB; the largest has 2.4
BLOCK = 2**18  # bytes between two writes
PATIENCE = 60.0  # seconds without a byte
ATTEMPTS = 3
DIGESTS = "digests.json"  # SHA-256 of every file that was downloaded into a folder


def download(file: RemoteFile, folder: Path) -> str:
    """Bring `file` into `folder`, and say how its digest was checked; nothing if it is there.

    Bytes go to NAME.part, which stays when the connection breaks: the next call asks for the rest
    (HTTP Range) if the server says that the file is still the same, and starts over if not. A file
    whose digest is not what is known, or was recorded at the first download, is refused.
    """
    pooch = extra("pooch", "Downloads")
    pooch.get_logger().setLevel(logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    known, path = _recorded(folder), folder / file.name
    expected = file.digest or known.get(file.name)
    try:
        part = path.with_name(f"{path.name}.part")
        pooch.retrieve(file.url, expected, file.name, folder, downloader=partial(_resume, part))
    except DataError:
        raise
    except ValueError as error:  # what pooch says of a wrong digest
        raise DataError(
            f"{path}: its digest is not {expected}, so it is damaged or was changed. It was not "
            "kept; try again."
        ) from error
    digest = f"sha256:{pooch.file_hash(str(path))}"
    (folder / DIGESTS).write_text(json.dumps(known | {file.name: digest}, indent=1) + "\n")
    if file.digest:
        return f"{file.digest.split(':')[0]} as known"
    return "as at the first download" if file.name in known else f"digest unknown, now {digest}"


def _recorded(folder: Path) -> dict[str, str]:
    path = folder / DIGESTS
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_bytes()[: 2**20])
    except ValueError as error:
        raise DataError(f"{path}: is no readable JSON ({error}). Remove it.") from error
    pattern = re.compile("sha256:[0-9a-f]{64}")
    if not isinstance(found, dict) or not all(pattern.fullmatch(str(v)) for v in found.values()):
        raise DataError(f"{path}: must give a SHA-256 for every name. Remove it.")
    return found


def _resume(part: Path, url: str, output_file: str, caller: Any) -> None:
    """What pooch calls to fetch `url` into `output_file`, by way of `part`, which may be there."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _fetch(url, part)
            break
        except HTTPError as error:
            raise DataError(f"{url}: the server answers {error.code}. Try again later.") from error
        except (URLError, OSError, http.client.HTTPException) as error:
            if attempt == ATTEMPTS:
                have = part.stat().st_size if part.exists() else 0
                raise DataError(
                    f"{url}: the connection broke after {have} bytes ({error}). Run the command "
                    "again to go on."
                ) from error
    part.replace(output_file)
    _mark(part).unlink(missing_ok=True)


def _fetch(url: str, part: Path) -> None:
    """One request for what is missing."""
    headers = {"User-Agent": "tracegrad"}
    mark, have = _mark(part), part.stat().st_size if part.exists() else 0
    if have and mark.exists():
        headers |= {"Range": f"bytes={have}-", "If-Range": mark.read_text()}
    request = urllib.request.Request(url, headers=headers)
    opener = urllib.request.build_opener(_Redirect)
    with opener.open(request, timeout=PATIENCE) as answer:
        start = have if answer.status == 206 else 0
        size = int(answer.headers.get("Content-Length", LARGEST + 1 if start else 0))
        if answer.status == 206 and not _continues(answer.headers.get("Content-Range", ""), have):
            raise DataError(f"{url}: the server sent another part than asked for. Remove {part}.")
        if start + size > LARGEST:
            raise DataError(f"{url}: announces {start + size} bytes, more than {LARGEST}.")
        same = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
        mark.write_text(same) if same else mark.unlink(missing_ok=True)
        with part.open("r+b" if start else "wb") as out:
            out.seek(start)
            _copy(answer, out, start + size)


def _copy(answer: Any, out: Any, end: int) -> None:
    while block := answer.read(BLOCK):
        out.write(block)
        if out.tell() > LARGEST:
            raise DataError(f"{answer.url}: sends more than {LARGEST} bytes.")
    if end and out.tell() < end:
        raise OSError(f"{end - out.tell()} bytes are missing")


def _mark(part: Path) -> Path:
    """Where the server's name for this version of the file is kept."""
    return part.with_name(f"{part.name}.etag")


def _continues(content_range: str, have: int) -> bool:
    found = re.fullmatch(r"bytes (\d+)-\d+/(?:\d+|\*)", content_range)
    return found is not None and int(found[1]) == have


class _Redirect(urllib.request.HTTPRedirectHandler):
    """Follows a redirect from HTTPS only to HTTPS, and to nothing but the web."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str):
        """Refuse a step down from HTTPS."""
        if urlsplit(req.full_url).scheme == "https" != urlsplit(newurl).scheme:
            raise DataError(f"{req.full_url}: redirects to {newurl}, which is not HTTPS.")
        return urllib.request.HTTPRedirectHandler.redirect_request(
            self, req, fp, code, msg, headers, newurl
        )
