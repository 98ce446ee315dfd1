"""Fetch a file once: resumed where it was cut, verified, put in place atomically, kept in a cache.

Only the standard library is used; ``HTTP(S)_PROXY`` and ``NO_PROXY`` are respected. A download in progress is
``NAME.part``; a cut one goes on from its last byte when its hash is known or the server's ``ETag`` (or
``Last-Modified``) says that the file is still the same one.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from .errors import IntegrityError, ModelError, ModelNotFoundError

ATTEMPTS = 3
TIMEOUT_S = 30.0
_CHUNK = 1 << 18


class _Cut(Exception):
    """The connection ended before the file did."""


def cache_dir() -> Path:
    """Where downloads are kept: ``VOXZOO_CACHE``, else ``voxzoo`` below the user's cache folder.

    That folder is ``XDG_CACHE_HOME``, or ``~/.cache``; on Windows ``LOCALAPPDATA``.
    """
    named = os.environ.get("VOXZOO_CACHE")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("LOCALAPPDATA") if os.name == "nt" else None)
    return (Path(base) if base else Path.home() / ".cache") / "voxzoo"


def fetch(url: str, target: Path, sha256: str | None = None) -> bool:
    """Make ``target`` hold what ``url`` serves; the network is not touched if it is there and right.

    Args:
        url: http or https.
        target: its folder is made.
        sha256: of the whole file, or None if nobody knows it.

    Returns:
        Whether anything was downloaded.

    Raises:
        ModelNotFoundError: the server has no such file.
        ModelError: it cannot be reached or goes on breaking off, or the file cannot be written.
        IntegrityError: what was downloaded has another hash. It is thrown away.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target):
            if target.exists() and (sha256 is None or hash_file(target) == sha256):
                return False
            _fetch(url, target, sha256)
            return True
    except OSError as error:
        full = "; VOXZOO_CACHE chooses another place" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise ModelError(f"{target}: cannot be written: {error.strerror or error}{full}") from error


def hash_file(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fetch(url: str, target: Path, sha256: str | None) -> None:
    part, tag = Path(f"{target}.part"), Path(f"{target}.part.etag")
    for attempt in range(ATTEMPTS):
        try:
            _attempt(url, part, tag, sha256)
            break
        except _Cut as error:
            if attempt == ATTEMPTS - 1:
                raise ModelError(f"{url}: {error}; the same command goes on from there") from error
    if sha256 is not None and (got := hash_file(part)) != sha256:
        part.unlink()
        tag.unlink(missing_ok=True)
        raise IntegrityError(f"{url}: has sha256 {got}, expected {sha256}: not kept")
    os.replace(part, target)
    tag.unlink(missing_ok=True)


def _attempt(url: str, part: Path, tag: Path, sha256: str | None) -> None:
    """One connection: append to ``part`` if the server agrees, else write it anew."""
    request = urllib.request.Request(url, headers=_headers(part, tag, sha256))
    with _answered(url, request, part) as answer:
        if answer is None:
            return
        resumed = answer.status == 206 and _starts_at(answer, part)
        if answer.status == 206 and not resumed:
            part.unlink(missing_ok=True)
            raise _Cut("the server sent another part than the one asked for")
        tag.write_text(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")
        with open(part, "ab" if resumed else "wb") as out:
            _copy(answer, out)


def _headers(part: Path, tag: Path, sha256: str | None) -> dict[str, str]:
    headers = {"User-Agent": "voxzoo", "Accept-Encoding": "identity"}
    if not part.exists() or part.stat().st_size == 0:
        return headers
    known = tag.read_text() if tag.exists() else ""
    if known and not known.startswith("W/"):
        headers["If-Range"] = known
    elif sha256 is None:  # nothing would tell that the rest belongs to another file
        return headers
    return {**headers, "Range": f"bytes={part.stat().st_size}-"}


@contextmanager
def _answered(url: str, request: urllib.request.Request, part: Path) -> Iterator[Any]:
    """The server's answer; None where it says that ``part`` already holds everything."""
    opener = urllib.request.build_opener(_NoDowngrade)
    try:
        answer = opener.open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:
                _check_whole(error, part)
                yield None
                return
            raise _refused(url, error) from error
    except http.client.HTTPException as error:
        raise _Cut(f"the server broke off: {error!r}") from error
    except OSError as error:  # URLError, timeouts, connection errors
        reason = getattr(error, "reason", None) or error
        raise ModelError(
            f"{url}: cannot be reached: {reason}; only this download needs the network: "
            "offline, give the path of a model file"
        ) from error
    with answer:
        yield answer


def _check_whole(error: urllib.error.HTTPError, part: Path) -> None:
    """416: nothing lies behind our last byte. Either we have it all, or what we have is something else."""
    total = (error.headers.get("Content-Range") or "").rpartition("/")[2]
    if not total.isdecimal() or int(total) != part.stat().st_size:
        part.unlink(missing_ok=True)
        raise _Cut("the server has another file than the one that was begun")


def _refused(url: str, error: urllib.error.HTTPError) -> ModelError:
    kind = ModelNotFoundError if error.code in (404, 410) else ModelError
    return kind(f"{url}: the server answered {error.code} {error.reason}")


def _starts_at(answer: Any, part: Path) -> bool:
    said = answer.headers.get("Content-Range", "")
    return bool(said.startswith(f"bytes {part.stat().st_size}-"))


def _copy(answer: Any, out: BinaryIO) -> None:
    expected = answer.headers.get("Content-Length")
    received = 0
    while True:
        try:
            chunk = answer.read(_CHUNK)
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            raise _Cut(f"the connection broke after {out.tell()} bytes: {error!r}") from error
        if not chunk:
            break
        received += len(chunk)
        out.write(chunk)
    if expected is not None and received < int(expected):
        raise _Cut(f"the connection ended after {out.tell()} bytes")


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but never from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            raise ModelError(f"{req.full_url}: redirects to {newurl}, which is not https: refused")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """One process at a time downloads ``target``; the others wait and then find it there."""
    try:
        import fcntl
    except ImportError:  # Windows: two downloads at once end in one of them failing its hash
        yield
        return
    lock = Path(f"{target}.lock")
    with open(lock, "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
