"""Pushing, against a Hub of our own on loopback: what goes, what stays, what is refused."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from voxzoo.cards.build import build
from voxzoo.cards.push import plan, push
from voxzoo.cards.runs import read_run
from voxzoo.cards.subject import find_subject
from voxzoo.zoo.errors import ModelError, RunError, UsageError
from voxzoo.zoo.registry import WEIGHTS

WEIGHTS_FILE = WEIGHTS / "cnn3d-seg.onnx"


class FakeHub(ThreadingHTTPServer):
    """As much of the Hub as a commit needs: repositories, large files, commits, kept in memory."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.repos, self.commits, self.stored = [], set(), [], {}
        self.status = 200

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, plain, status=200):
        text = json.dumps(plain).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_PUT(self):
        data = self.body()
        self.server.stored[hashlib.sha256(data).hexdigest()] = data
        self.answer({})

    def do_GET(self):
        self.server.asked.append(("GET", self.path, ""))
        self.answer({}, 404)

    def do_POST(self):
        raw, path, hub = self.body(), self.path.partition("?")[0], self.server
        hub.asked.append(("POST", path, self.headers.get("Authorization", "")))
        if hub.status != 200:
            return self.answer({"error": "you may not"}, hub.status)
        if path == "/api/repos/create":
            plain = json.loads(raw)
            name = f"{plain['organization']}/{plain['name']}"
            known = name in hub.repos
            hub.repos.add(name)
            return self.answer({"url": f"{hub.address}/{name}"}, 409 if known else 200)
        if path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if "/preupload/" in path:
            files = [
                {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(".onnx") else "regular"}
                for f in json.loads(raw)["files"]
            ]
            return self.answer({"files": [{**f, "shouldIgnore": False} for f in files]})
        if path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**o, "actions": {"upload": {"href": f"{hub.address}/store/{o['oid']}", "header": {}}}}
                for o in json.loads(raw)["objects"]
            ]
            return self.answer({"transfer": "basic", "objects": objects})
        if "/commit/" in path:
            hub.commits.append((path, [json.loads(line) for line in raw.splitlines()]))
            return self.answer({"commitUrl": f"{hub.address}/me/model/commit/1", "commitOid": "1" * 40})
        return self.answer({})


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_fake")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # it speaks git-lfs alone
    server = FakeHub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def card(made, tmp_path):
    """A card of the bundled model, one dataset on the Hub and one not, with a figure and a stray file."""
    digest = find_subject(str(WEIGHTS_FILE), []).facts["content_sha256"]
    runs = []
    for name in ("toys", "mine"):
        plain = made.segment("cnn3d-seg")
        plain["model"]["content_sha256"] = digest
        plain["dataset"]["name"] = name
        runs.append(read_run(made.write(plain, name)))
    stated = tmp_path / "x.yaml"
    stated.write_text("license_id: apache-2.0\ndatasets: {toys: {hub_id: me/toys}}\n")
    build(find_subject(str(WEIGHTS_FILE), runs, stated)).save(tmp_path / "card")
    (tmp_path / "card" / "box.svg").write_text("<svg/>")
    (tmp_path / "card" / "notes.txt").write_text("private")
    return tmp_path / "card"


def test_a_dry_run_lists_exactly_what_goes_and_asks_nobody(card, hub):
    what = plan(card, "me/model", str(WEIGHTS_FILE), hub.address)
    assert [u.target for u in what.uploads] == [
        ".eval_results/toys.yaml",
        "README.md",
        "box.svg",
        "cnn3d-seg.onnx",
    ]
    text = "\n".join(what.lines())
    for upload in what.uploads:
        data = upload.source.read_bytes()
        assert f"{len(data)} bytes  {hashlib.sha256(data).hexdigest()}  {upload.target}" in text
    assert "left out: notes.txt" in text
    assert "left out: .eval_results/unpublished-mine.yaml (its dataset has no hub_id" in text
    assert hub.asked == []


def test_one_commit_holds_exactly_that(card, hub):
    what = plan(card, "me/model", str(WEIGHTS_FILE), hub.address)
    assert push(what, "First card") == f"{hub.address}/me/model/commit/1"
    ((path, lines),) = hub.commits
    assert path == "/api/models/me/model/commit/main"
    assert lines[0]["value"]["summary"] == "First card"
    files = {
        v["path"]: base64.b64decode(v["content"]) for v in (x["value"] for x in lines if x["key"] == "file")
    }
    large = {v["path"]: v["oid"] for v in (x["value"] for x in lines if x["key"] == "lfsFile")}
    assert files == {u.target: u.source.read_bytes() for u in what.uploads if u.target != "cnn3d-seg.onnx"}
    weights = WEIGHTS_FILE.read_bytes()
    assert large == {"cnn3d-seg.onnx": hashlib.sha256(weights).hexdigest()}
    assert hub.stored[large["cnn3d-seg.onnx"]] == weights
    assert {token for _, path, token in hub.asked if "/api/" in path} == {"Bearer hf_fake"}
    push(plan(card, "me/model", None, hub.address))  # again, into the repository that is there
    assert len(hub.commits) == 2


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_hub_that_refuses_is_an_error_of_ours(card, hub, status, monkeypatch):
    hub.status = status
    with pytest.raises(ModelError, match=hub.address):
        push(plan(card, "me/model", None, hub.address))


def test_a_hub_that_is_not_there_is_an_error_of_ours(card, hub):
    address = hub.address
    hub.shutdown()
    hub.server_close()
    with pytest.raises(ModelError, match=f"{address}: the upload failed"):
        push(plan(card, "me/model", None, address))


def test_what_cannot_be_pushed_is_refused_first(card, made, tmp_path):
    with pytest.raises(UsageError, match="--repo"):
        plan(card, "no spaces here/x")
    with pytest.raises(UsageError, match="expected OWNER/NAME"):
        plan(card, "model")
    with pytest.raises(UsageError, match="cannot be read"):
        plan(tmp_path / "nowhere", "me/model")
    with pytest.raises(UsageError, match="has no file to upload"):
        plan(card, "me/model", "baseline:flair-threshold")
    readme = card / "README.md"
    whole = readme.read_text()
    digest = hashlib.sha256(WEIGHTS_FILE.read_bytes()).hexdigest()
    readme.write_text(whole.replace(digest, "ab" * 32))
    with pytest.raises(RunError, match=r"is about a file with sha256 abab.*build the card again"):
        plan(card, "me/model", str(WEIGHTS_FILE))
    readme.write_text(whole[:200])
    with pytest.raises(UsageError, match="not a valid card"):
        plan(card, "me/model")
