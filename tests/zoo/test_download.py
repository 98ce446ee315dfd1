"""Downloads from a server on the loopback interface that misbehaves in every way we know of."""

import errno
import hashlib
import http.server
import threading

import pytest

from voxzoo.zoo import download
from voxzoo.zoo.errors import IntegrityError, ModelError, ModelNotFoundError

BODY = bytes(range(256)) * 4000
SHA = hashlib.sha256(BODY).hexdigest()


class Server:
    """Serves ``body``; ``cut_after`` breaks the first connections, ``ranges=False`` ignores Range."""

    def __init__(self):
        self.body, self.cuts, self.ranges, self.etag, self.status = BODY, [], True, '"v1"', 200
        self.requests = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.handle_error = lambda *args: None  # clients that hang up are what is tested
        self.url = f"http://127.0.0.1:{self.http.server_port}/model.onnx"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, handler):
        self.requests.append(dict(handler.headers))
        if self.status != 200:
            handler.send_error(self.status)
            return
        start = self.start_of(handler.headers)
        if start >= len(self.body):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(self.body)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.body) - 1}/{len(self.body)}")
        handler.send_header("Content-Length", str(len(self.body) - start))
        if self.etag:
            handler.send_header("ETag", self.etag)
        handler.end_headers()
        stop = self.cuts.pop(0) if self.cuts else len(self.body)
        handler.wfile.write(self.body[start:stop])
        handler.close_connection = True

    def start_of(self, headers):
        asked = headers.get("Range")
        if not asked or not self.ranges or headers.get("If-Range", self.etag) != self.etag:
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def ranges(server):
    return [r.get("Range") for r in server.requests]


def parts(folder):
    return sorted(p.name for p in folder.iterdir() if p.suffix != ".lock")


@pytest.mark.parametrize("sha", [None, SHA])
def test_a_file_arrives_once(server, tmp_path, sha):
    target = tmp_path / "a" / "b" / "m.onnx"
    assert download.fetch(server.url, target, sha)
    assert target.read_bytes() == BODY
    assert not download.fetch(server.url, target, sha)
    assert len(server.requests) == 1
    assert parts(target.parent) == ["m.onnx"]


@pytest.mark.parametrize("sha", [None, SHA])
def test_a_cut_connection_goes_on_from_its_last_byte(server, tmp_path, sha):
    server.cuts = [300_000, 500_000]
    download.fetch(server.url, tmp_path / "m", sha)
    assert (tmp_path / "m").read_bytes() == BODY
    assert ranges(server) == [None, "bytes=300000-", "bytes=500000-"]


def test_a_download_given_up_goes_on_in_the_next_call(server, tmp_path):
    server.cuts = [100_000, 200_000, 300_000]
    with pytest.raises(ModelError, match="goes on from there"):
        download.fetch(server.url, tmp_path / "m", SHA)
    assert not (tmp_path / "m").exists()
    download.fetch(server.url, tmp_path / "m", SHA)
    assert (tmp_path / "m").read_bytes() == BODY
    assert ranges(server)[-1] == "bytes=300000-"


def test_a_file_that_changed_meanwhile_is_begun_anew(server, tmp_path):
    server.cuts = [100_000, 200_000, 300_000]
    with pytest.raises(ModelError):
        download.fetch(server.url, tmp_path / "m")
    server.body, server.etag = BODY[::-1], '"v2"'
    download.fetch(server.url, tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == BODY[::-1]


def test_without_hash_and_without_etag_nothing_is_resumed(server, tmp_path):
    server.cuts, server.etag = [100_000], None
    download.fetch(server.url, tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == BODY
    assert ranges(server) == [None, None]


def test_a_server_that_ignores_range(server, tmp_path):
    server.cuts, server.ranges = [100_000], False
    download.fetch(server.url, tmp_path / "m", SHA)
    assert (tmp_path / "m").read_bytes() == BODY


def test_a_part_that_is_complete_already(server, tmp_path):
    (tmp_path / "m.part").write_bytes(BODY)
    download.fetch(server.url, tmp_path / "m", SHA)
    assert (tmp_path / "m").read_bytes() == BODY


def test_a_part_that_is_longer_than_the_file(server, tmp_path):
    (tmp_path / "m.part").write_bytes(BODY + b"more")
    download.fetch(server.url, tmp_path / "m", SHA)
    assert (tmp_path / "m").read_bytes() == BODY


def test_a_wrong_hash_is_thrown_away(server, tmp_path):
    with pytest.raises(IntegrityError, match=f"{SHA}, expected {'0' * 64}"):
        download.fetch(server.url, tmp_path / "m", "0" * 64)
    assert parts(tmp_path) == []


def test_a_damaged_file_in_the_cache_is_fetched_again(server, tmp_path):
    (tmp_path / "m").write_bytes(b"damaged")
    assert download.fetch(server.url, tmp_path / "m", SHA)
    assert (tmp_path / "m").read_bytes() == BODY


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, ModelNotFoundError), (410, ModelNotFoundError), (403, ModelError), (500, ModelError)],
)
def test_refusals_of_the_server(server, tmp_path, status, kind):
    server.status = status
    with pytest.raises(kind, match=str(status)) as caught:
        download.fetch(server.url, tmp_path / "m")
    assert "\n" not in str(caught.value)
    assert parts(tmp_path) == []


def test_offline_is_one_clear_line(server, tmp_path):
    url = server.url
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(ModelError, match=r"cannot be reached.*offline, give the path") as caught:
        download.fetch(url, tmp_path / "m")
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_one_clear_line(server, tmp_path, monkeypatch):
    def full(answer, out):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "_copy", full)
    with pytest.raises(ModelError, match=r"No space left on device; VOXZOO_CACHE"):
        download.fetch(server.url, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_a_cache_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelError, match="cannot be written"):
        download.fetch(server.url, tmp_path / "file" / "m")


def test_the_proxy_of_the_environment_is_used(server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url.rsplit("/", 1)[0])
    monkeypatch.setenv("no_proxy", "")
    download.fetch("http://weights.invalid/m.onnx", tmp_path / "m", SHA)
    assert server.requests[0]["Host"] == "weights.invalid"


def test_https_is_never_left(server):
    handler, request = download._NoDowngrade(), download.urllib.request.Request("https://a.invalid/m")
    with pytest.raises(ModelError, match="not https"):
        handler.redirect_request(request, None, 302, "Found", {}, "http://a.invalid/m")
    assert handler.redirect_request(request, None, 302, "Found", {}, "https://b.invalid/m") is not None


def test_two_at_once_download_once(server, tmp_path):
    workers = [
        threading.Thread(target=download.fetch, args=(server.url, tmp_path / "m", SHA)) for _ in range(4)
    ]
    [w.start() for w in workers]
    [w.join() for w in workers]
    assert (tmp_path / "m").read_bytes() == BODY
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"VOXZOO_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "/c"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/voxzoo"),
        ({"HOME": "/h"}, "/h/.cache/voxzoo"),
    ],
)
def test_where_the_cache_is(variables, expected, monkeypatch):
    for name in ("VOXZOO_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert download.cache_dir().as_posix() == expected
