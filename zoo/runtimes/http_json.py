"""JSON over HTTP for runtimes that are servers: bounded in bytes and time, retried, keys kept secret.

Only the standard library is used; ``HTTPS_PROXY`` and ``NO_PROXY`` are respected, redirects are not followed
(they would carry the key elsewhere).
"""

from __future__ import annotations

import base64
import email.utils
import http.client
import ipaddress
import json
import math
import random
import ssl
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import ModelError, UsageError

__all__ = ["Patience", "TryAgain", "Wire", "check_url"]

MOST_BYTES = 4 << 20
RETRIED = {408, 409, 425, 429, 500, 502, 503, 504, 529}
_CHUNK = 1 << 16
T = TypeVar("T")


class TryAgain(Exception):
    """One attempt failed in a way that may pass. ``after_s`` is what the server asks to wait, or None."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


def check_url(url: str, insecure: bool = False) -> SplitResult:
    """The parts of a server's address.

    Args:
        url: https, or http on this machine.
        insecure: let http go to other machines; images and keys then travel in the clear.

    Raises:
        UsageError: anything else, or an address with a password or a query in it.

    Example:
        >>> check_url("http://127.0.0.1:8080/v1/").path
        '/v1'
    """
    try:
        parts = urlsplit(url.rstrip("/"))
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"not a URL: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise UsageError("a URL with a name or password in it is not taken: keys come from the environment")
    if (
        parts.scheme not in ("http", "https")
        or not host
        or parts.query
        or not (url.isascii() and url.isprintable())
    ):
        raise UsageError(f"{url!r}: expected https://HOST/..., or http://127.0.0.1:PORT/...")
    if parts.scheme == "http" and not insecure and not _on_this_machine(host):
        raise UsageError(
            f"{url}: http sends images and keys in the clear, so it is for this machine only; use https, or "
            "add insecure=yes"
        )
    return parts


def _on_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Wire:
    """One server.

    Args:
        parts: of its URL, as ``check_url`` gives them.
        key: sent as a bearer token; neither repr nor messages show it.
        timeout_s: for one attempt as a whole.
    """

    parts: SplitResult
    key: str | None = field(default=None, repr=False)
    timeout_s: float = 120.0

    def send(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """One attempt: POST ``body`` as JSON, or GET.

        Args:
            path: below the URL, with its slash.

        Returns:
            The JSON of the reply.

        Raises:
            TryAgain: no connection, a time-out, a reply cut off or no JSON, 429 or a fault of the server's.
            ModelError: the server refuses for good, or says more than is sensible.
        """
        until = time.monotonic() + self.timeout_s
        connection = self._connect()
        try:
            headers = {"Accept": "application/json", "Content-Type": "application/json"}
            if self.key is not None:
                headers["Authorization"] = f"Bearer {self.key}"
            data = None if body is None else json.dumps(body).encode()
            connection.request("GET" if body is None else "POST", self._target(path), data, headers)
            reply = connection.getresponse()
            found = self._read(reply, until)
        except TimeoutError:
            raise TryAgain(f"no answer within {self.timeout_s:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise ModelError(
                f"{self.place}: its certificate is not trusted: {error.verify_message}"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise TryAgain(_reason(error)) from None
        finally:
            connection.close()
        return self._judge(reply, found)

    @property
    def place(self) -> str:
        """The URL, for messages."""
        return self.parts.geturl()

    def _connect(self) -> http.client.HTTPConnection:
        host, secure = self.parts.hostname or "", self.parts.scheme == "https"
        port = self.parts.port or (443 if secure else 80)
        make = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        proxy = self._proxy(host)
        if proxy is None:
            return make(host, port, timeout=self.timeout_s)
        connection = make(proxy.hostname or "", proxy.port or 80, timeout=self.timeout_s)
        connection.set_tunnel(host, port, _login(proxy))
        return connection

    def _proxy(self, host: str) -> SplitResult | None:
        if _on_this_machine(host) or urllib.request.proxy_bypass(host):
            return None
        named = urllib.request.getproxies().get(self.parts.scheme)
        return urlsplit(named if "//" in named else f"//{named}") if named else None

    def _target(self, path: str) -> str:
        return f"{self.parts.path}{path}"

    def _read(self, reply: http.client.HTTPResponse, until: float) -> bytes:
        parts: list[bytes] = []
        size = 0
        while chunk := reply.read1(_CHUNK):
            parts.append(chunk)
            size += len(chunk)
            if size > MOST_BYTES:
                raise ModelError(f"{self.place}: a reply of more than {MOST_BYTES >> 20} MiB is no answer")
            if time.monotonic() > until:
                raise TimeoutError
        if reply.length:  # it announced more than it sent
            raise http.client.IncompleteRead(b"", reply.length)
        return b"".join(parts)

    def _judge(self, reply: http.client.HTTPResponse, found: bytes) -> Any:
        if reply.status in RETRIED:
            raise TryAgain(
                f"{reply.status} {self._told(found)}".strip(), _seconds(reply.headers["Retry-After"])
            )
        if 300 <= reply.status < 400:
            raise ModelError(f"{self.place}: sends elsewhere ({reply.status}); give the URL it sends to")
        if reply.status != 200:
            raise ModelError(f"{self.place}: {reply.status} {reply.reason}: {self._told(found)}".rstrip(": "))
        try:
            return json.loads(found)
        except (ValueError, RecursionError):
            raise TryAgain(f"a reply that is no JSON: {self._short(found)!r}") from None

    def _told(self, found: bytes) -> str:
        """The server's own words about what is wrong."""
        try:
            plain = json.loads(found)
        except (ValueError, RecursionError):
            return self._short(found)
        for name in ("error", "message", "detail"):
            if isinstance(plain, dict) and name in plain:
                plain = plain[name]
        return self._short(plain.encode("utf-8", "replace") if isinstance(plain, str) else found)

    def _short(self, found: bytes) -> str:
        text = " ".join(found[:4000].decode("utf-8", "replace").split())
        return (text.replace(self.key, "***") if self.key else text)[:300]


def _login(proxy: SplitResult) -> dict[str, str]:
    """The header for a proxy that wants a name."""
    if proxy.username is None:
        return {}
    words = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(words.encode()).decode()}"}


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "refuses connections: is the server running?"
    if isinstance(error, http.client.IncompleteRead | http.client.RemoteDisconnected | ConnectionResetError):
        return "cut the reply off"
    return " ".join(str(error).split())[:200] or type(error).__name__


def _seconds(after: str | None) -> float | None:
    """Seconds of a Retry-After header, which is a number or a date."""
    if after is None:
        return None
    try:
        wait = float(after)
    except ValueError:
        try:
            wait = email.utils.parsedate_to_datetime(after).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(wait, 0.0) if math.isfinite(wait) else None


@dataclass(frozen=True)
class Patience:
    """How often and how long something is tried again.

    Attributes:
        retries: attempts after the first.
        first_s, longest_s: the back-off doubles from one to the other; what is waited is between half of it
            and all of it (jitter).
        most_s: a server that asks to wait longer is given up.
        sleep: waits that many seconds.
    """

    retries: int = 5
    first_s: float = 0.5
    longest_s: float = 30.0
    most_s: float = 120.0
    sleep: Callable[[float], object] = time.sleep

    def until_it_works(self, attempt: Callable[[], T], what: str, seed: int) -> T:
        """The first result that an attempt gives.

        Args:
            attempt: raises ``TryAgain`` where another one may help.
            what: for the message.
            seed: of the jitter.

        Raises:
            ModelError: all attempts failed; the message has the last reason.
        """
        jitter = random.Random(seed)
        number = 0
        while True:
            try:
                return attempt()
            except TryAgain as again:
                asked = again.after_s or 0.0
                if number >= self.retries or asked > self.most_s:
                    raise ModelError(f"{what}: {again} ({self._tried(number + 1, asked)})") from None
            backoff = min(self.longest_s, self.first_s * 2.0 ** min(number, 60)) * jitter.uniform(0.5, 1.0)
            self.sleep(max(backoff, asked))
            number += 1

    def _tried(self, attempts: int, asked: float) -> str:
        times = f"{attempts} attempt{'' if attempts == 1 else 's'}"
        return f"{times}; it asks to wait {asked:.0f} s" if asked > self.most_s else times
