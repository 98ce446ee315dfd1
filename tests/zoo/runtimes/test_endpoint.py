"""The endpoint runtime against a scripted server on loopback: everything a server can do wrong, once."""

import base64
import json
import math
import signal
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxzoo.eval.language.transcripts import read_transcript
from voxzoo.eval.runner import evaluate
from voxzoo.zoo.answerer import Answerer, Question
from voxzoo.zoo.cases import ArraySource, Case
from voxzoo.zoo.datasets import Dataset
from voxzoo.zoo.errors import ModelError, RunError, UsageError, VoxzooError
from voxzoo.zoo.runtimes import endpoint
from voxzoo.zoo.runtimes.endpoint_reply import class_probabilities, count, text_of
from voxzoo.zoo.runtimes.http_json import Patience, TryAgain, check_url
from voxzoo.zoo.sampling import Sampling
from voxzoo.zoo.tasks.prompt import prompt_task

IMAGE = np.random.default_rng(0).integers(0, 256, (16, 24), dtype=np.uint8)
KEY = "sk-secret-0123456789"


def reply(text="(3, 4)", **more):
    usage = {"prompt_tokens": 100, "completion_tokens": 7}
    return {"choices": [{"message": {"content": text}, **more}], "usage": usage, "model": "toy"}


class Server:
    """Answers POSTs with the functions of ``script`` in turn, the last one for ever.

    Each is given the handler and the body.
    """

    def __init__(self, *script, models=("toy",), owner="llamacpp", models_status=200):
        self.script, self.models, self.owner = list(script or [say(reply())]), models, owner
        self.models_status = models_status
        self.bodies, self.headers, self.under_way, self.most = [], [], 0, 0
        self.lock = threading.Lock()

    def next(self):
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


def send(handler, status, data, **headers):
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(data)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


def say(plain, status=200, **headers):
    data = plain if isinstance(plain, bytes) else json.dumps(plain).encode()
    return lambda handler, body: send(handler, status, data, **headers)


def hang_up(handler, body):
    handler.close_connection = True


def cut(handler, body):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.close_connection = True


def drip(handler, body):
    """A byte now and then, each well within the time-out of a socket."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(50):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)


def endless(handler, body):
    handler.send_response(200)
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b" " * (1 << 16))
    handler.close_connection = True


@contextmanager
def serving(server):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            server.headers.append(dict(self.headers))
            listed = [{"id": name, "owned_by": server.owner} for name in server.models]
            send(self, server.models_status, json.dumps({"data": listed}).encode())

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with server.lock:
                server.bodies.append(body)
                server.headers.append(dict(self.headers))
                action = server.next()
                server.under_way += 1
                server.most = max(server.most, server.under_way)
            try:
                action(self, body)
            except OSError:
                self.close_connection = True
            finally:
                with server.lock:
                    server.under_way -= 1

        def log_message(self, *_):
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.daemon_threads = True
    threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{web.server_port}/v1"
    finally:
        web.shutdown()
        web.server_close()


def ask(task="center", repeat=0):
    own = prompt_task(task)
    return Question(task, "Where?", IMAGE, own.grammar(), own.new_tokens, "c", "axial", 3, repeat)


def patient(waits, retries=5):
    return Patience(retries=retries, sleep=waits.append)


def test_what_is_sent_and_what_comes_back(monkeypatch):
    monkeypatch.setenv("VOXZOO_API_KEY", KEY)
    server = Server()
    with serving(server) as url:
        model = endpoint.open(f"{url}#toy", sampling=Sampling(0.7, 3))
        given_back = model.answer(ask())
    assert isinstance(model, Answerer)
    body = server.bodies[0]
    image, text = body["messages"][0]["content"]
    assert (image["type"], text) == ("image_url", {"type": "text", "text": "Where?"})
    head, data = image["image_url"]["url"].split(",")
    assert head == "data:image/png;base64"
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(shown, IMAGE)
    assert (body["temperature"], body["seed"]) == (0.7, Sampling(0.7, 3).seed_of(ask()))
    assert (body["max_tokens"], body["grammar"]) == (ask().new_tokens, ask().grammar)
    assert (body["top_k"], body["min_p"], body["repeat_penalty"]) == (0, 0.0, 1.0)
    assert server.headers[-1]["Authorization"] == f"Bearer {KEY}"
    assert (given_back.text, given_back.tokens_in, given_back.tokens_out) == ("(3, 4)", 100, 7)
    assert given_back.sampling["question_seed"] == body["seed"]
    assert given_back.sampling["decoding"] == "grammar"
    assert KEY not in repr(model) + json.dumps(model.settings) + json.dumps(given_back.sampling)


@pytest.mark.parametrize(
    ("owner", "words", "field"),
    [
        ("vllm", "", "structured_outputs"),
        ("me", ",server=vllm-guided", "guided_grammar"),
        ("me", ",server=llama.cpp", "grammar"),
        ("me", "", None),
    ],
)
def test_grammars_go_where_a_server_takes_them(owner, words, field):
    server = Server(owner=owner)
    with serving(server) as url:
        model = endpoint.open(f"{url}#toy{words}")
        model.answer(ask())
        endpoint.open(f"{url}#toy{words}", grammar="none").answer(ask())
    fields = {"structured_outputs", "guided_grammar", "grammar"}
    assert fields & set(server.bodies[0]) == ({field} if field else set())
    assert not fields & set(server.bodies[1])
    assert model.settings["decoding"] == ("grammar" if field else "free")
    extra = {"top_k", "min_p", "repeat_penalty", "repetition_penalty", "cache_prompt"} & set(server.bodies[0])
    assert bool(extra) == (model.settings["server"] != "openai")


@pytest.mark.parametrize(
    ("owner", "grammar", "decoding"),
    [("me", "auto", "JSON schema"), ("me", "none", "free"), ("llamacpp", "auto", "grammar")],
)
def test_questions_without_an_image_are_plain_texts_and_may_have_a_schema(owner, grammar, decoding):
    schema = {"type": "object"}
    question = Question("reason", "Why?", None, 'root ::= "{}"', 9, "c", "", 0, 0, schema)
    server = Server(owner=owner)
    with serving(server) as url:
        replied = endpoint.open(f"{url}#toy", grammar=grammar).answer(question)
    (body,) = server.bodies
    assert body["messages"] == [{"role": "user", "content": "Why?"}]
    sent = body.get("response_format")
    assert (sent is not None) == (decoding == "JSON schema")
    assert sent is None or sent["json_schema"]["schema"] == schema
    assert ("grammar" in body) == (decoding == "grammar")
    assert replied.sampling["decoding"] == decoding


BUSY = say({"error": {"message": "slow down"}}, 429)


@pytest.mark.parametrize(
    "fault",
    [
        BUSY, say(b"", 503), say({"detail": "x"}, 500), hang_up, cut, say(b"<html>"), say(b'{"choices": []}'),
        say([]), say(reply(None) | {"choices": [{"message": {"content": 3}}]}), say(b"[" * 100_000),
    ],
)  # fmt: skip
def test_what_may_pass_is_tried_again(fault):
    waits, server = [], Server(fault, fault, say(reply()))
    with serving(server) as url:
        assert endpoint.open(f"{url}#toy", patience=patient(waits)).answer(ask()).text == "(3, 4)"
    assert len(server.bodies) == 3
    assert 0.25 <= waits[0] <= 0.5
    assert 0.5 <= waits[1] <= 1.0


def test_the_jitter_is_seeded_and_the_waits_are_bounded():
    def waits_of(repeat):
        waits = []
        with serving(Server(BUSY)) as url, pytest.raises(ModelError, match=r"429 slow down \(11 attempts\)"):
            endpoint.open(f"{url}#toy", patience=patient(waits, 10)).answer(ask(repeat=repeat))
        return waits

    first = waits_of(0)
    assert first == waits_of(0) != waits_of(1)
    assert all(min(30, 0.5 * 2**n) / 2 <= wait <= min(30, 0.5 * 2**n) for n, wait in enumerate(first))


def test_retry_after_is_kept_and_too_long_a_wait_is_given_up():
    waits, server = [], Server(say(b"", 429, Retry_After="7"), say(reply()))
    with serving(server) as url:
        endpoint.open(f"{url}#toy", patience=patient(waits)).answer(ask())
        assert waits == [7.0]
        server.script = [say(b"", 429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"), say(reply())]
        endpoint.open(f"{url}#toy", patience=patient(waits)).answer(ask())
        assert waits[1] <= 0.5
        server.script = [say(b"", 429, Retry_After="86400")]
        with pytest.raises(ModelError, match="asks to wait 86400 s"):
            endpoint.open(f"{url}#toy", patience=patient(waits)).answer(ask())
    assert len(waits) == 2


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (say({"error": {"message": "context is 512 tokens"}}, 400), "400 Bad Request: context is 512 tokens"),
        (say({"error": f"bad key {KEY}"}, 401), r"401 Unauthorized: bad key \*\*\*$"),
        (say(b"", 307, Location="http://127.0.0.1:1/"), "sends elsewhere"),
        (endless, "more than 4 MiB"),
    ],
)
def test_what_will_not_pass_is_told_at_once(fault, told, monkeypatch):
    monkeypatch.setenv("VOXZOO_API_KEY", KEY)
    waits = []
    with serving(Server(fault)) as url:
        model = endpoint.open(f"{url}#toy", patience=patient(waits))
        with pytest.raises(ModelError, match=told):
            model.answer(ask())
    assert waits == []


@pytest.mark.parametrize("slow", [drip, lambda handler, body: time.sleep(1)])
def test_a_slow_server_is_left_in_time(slow):
    with serving(Server(slow)) as url:
        model = endpoint.open(f"{url}#toy,timeout=0.3,retries=0")
        start = time.monotonic()
        with pytest.raises(ModelError, match=r"no answer within 0.3 s"):
            model.answer(ask())
        assert time.monotonic() - start < 3


def test_after_five_failures_a_dead_server_is_asked_once_only():
    waits, server = [], Server(BUSY)
    with serving(server) as url:
        model = endpoint.open(f"{url}#toy", patience=patient(waits, 2))
        for _ in range(7):
            with pytest.raises(ModelError):
                model.answer(ask())
        assert len(server.bodies) == 5 * 3 + 2
        server.script = [say(reply())]
        model.answer(ask())
        server.script = [BUSY, say(reply())]
        assert model.answer(ask()).text == "(3, 4)"


def test_a_server_that_is_not_there_or_serves_something_else():
    with serving(Server()) as url:
        with pytest.raises(ModelError, match="it serves: toy"):
            endpoint.open(f"{url}#other")
        assert endpoint.open(url).name == "toy"
    with pytest.raises(ModelError, match="refuses connections: is the server running"):
        endpoint.open(f"{url}#toy")
    with serving(Server(models=("a", "b"))) as url, pytest.raises(ModelError, match="it serves: a, b"):
        endpoint.open(url)
    with serving(Server(models_status=404)) as url:
        assert endpoint.open(f"{url}#any").name == "any"
    with serving(Server(models_status=401)) as url, pytest.raises(ModelError, match="401"):
        endpoint.open(f"{url}#toy")


@pytest.mark.parametrize(
    ("rest", "told"),
    [
        ("http://192.168.0.9/v1#m", "in the clear"),
        ("http://example.org/v1#m", "in the clear"),
        ("ftp://127.0.0.1/#m", "expected https"),
        ("https://name:secret@example.org/v1#m", "keys come from the environment"),
        ("https:///v1#m", "expected https"),
        ("https://[::1/v1#m", "not a URL"),
        ("https://example.org:99999/v1#m", "not a URL"),
        ("https://example.org/v1?key=secret#m", "expected https"),
        ("http://127.0.0.1/v1#m,timeout=nan", "timeout"),
        ("http://127.0.0.1/v1#m,retries=-1", "retries"),
        ("http://127.0.0.1/v1#m,color=red", "expected WORD=VALUE"),
        ("http://127.0.0.1/v1#m,server=ollama", "server"),
        ("http://127.0.0.1/v1#m,key=NOT_SET_ANYWHERE", "environment has no NOT_SET_ANYWHERE"),
    ],
)
def test_addresses_that_cannot_be(rest, told):
    with pytest.raises(UsageError, match=told) as caught:
        endpoint.open(rest)
    assert "secret" not in str(caught.value) or "?key" in rest


def test_http_to_others_is_a_choice():
    assert check_url("http://192.168.0.9/v1", insecure=True).hostname == "192.168.0.9"
    for url in ("http://localhost:1/v1", "http://127.8.8.8/v1", "http://[::1]:80/v1", "https://example.org"):
        check_url(url)


@pytest.mark.parametrize("key", ["two\nlines", "schlüssel"])
def test_a_key_that_is_none_is_not_shown(key, monkeypatch):
    monkeypatch.setenv("VOXZOO_API_KEY", key)
    with serving(Server()) as url, pytest.raises(UsageError) as caught:
        endpoint.open(f"{url}#toy")
    assert key not in str(caught.value)


def test_the_hash_is_of_the_place_and_the_model():
    with serving(Server(models=("a", "b"))) as url, serving(Server(models=("a",))) as other:
        hashes = [
            endpoint.open(f"{u}#{m}").content_hash
            for u, m in ((url, "a"), (url, "a"), (url, "b"), (other, "a"))
        ]
        assert "not verifiable" in endpoint.open(f"{url}#a").settings["weights"]
    assert len(set(hashes)) == 3
    assert hashes[0] == hashes[1]


def test_class_probabilities_of_a_grade():
    """P(0) = 0.1 + 0.1 in two spellings, P(1) = 0.2, P(2) = 0.4: by hand 0.25, 0.25, 0.5."""
    listed = [("0", 0.1), (" 0", 0.1), ("1", 0.2), ("2", 0.4), ("x", 0.2)]
    top = [{"token": token, "logprob": math.log(p)} for token, p in listed]
    tokens = [{"token": "Ch"}, {"token": "oice:"}, {"token": " "}, {"token": "2", "top_logprobs": top}]
    server = Server(say(reply("Choice: 2", logprobs={"content": tokens})))
    with serving(server) as url:
        graded = endpoint.open(f"{url}#toy").answer(ask("grade"))
        endpoint.open(f"{url}#toy,logprobs=0").answer(ask("grade"))
        endpoint.open(f"{url}#toy").answer(ask("center"))
    assert graded.probabilities == {"low": 0.25, "high": 0.25, "none": 0.5}
    assert [body.get("top_logprobs") for body in server.bodies] == [20, None, None]
    few = [{**tokens[-1], "top_logprobs": top[:3]}]
    assert class_probabilities({"logprobs": {"content": tokens[:-1] + few}}) is None


NAMES = ["choices", "message", "content", "logprobs", "token", "top_logprobs", "logprob", "usage", "refusal"]
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.sampled_from(["Choice:", "0", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_an_answer_or_refused(plain):
    count(plain, "usage")
    try:
        text, choice = text_of(plain)
    except TryAgain:
        return
    text.encode()
    if isinstance(choice, dict):
        class_probabilities(choice)


def cohort():
    """Two heads with a bright cube; ids that no server needs to know."""
    cases = []
    for i in range(2):
        head = np.zeros((20, 24, 28))
        head[2:18, 2:22, 2:26] = 100 + np.arange(24)
        mask = np.zeros(head.shape, np.uint8)
        mask[6:10, 8:14, 9 : 15 + i] = 2
        head[mask > 0] += 300
        sources = [ArraySource(array, np.eye(4), f"c{i}") for array in (head, mask)]
        cases.append(Case(f"c{i}", f"c{i}", {"flair": sources[0]}, reference=sources[1], grade="high"))
    return Dataset("toy", tuple(cases), "CC0", "memory", "phantom")


def see(handler, body):
    """A box around what is bright, sooner or later."""
    time.sleep(0.001 * (body["seed"] % 40))
    data = base64.b64decode(body["messages"][0]["content"][0]["image_url"]["url"].split(",")[1])
    bright = np.argwhere(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) > 200)
    (top, left), (bottom, right) = bright.min(axis=0), bright.max(axis=0)
    text = f"[({top}, {left}), ({top}, {right}), ({bottom}, {right}), ({bottom}, {left})]"
    send(handler, 200, json.dumps(reply(text)).encode())


def raws(folder):
    return [(a.case, a.slice, a.repeat, a.raw) for a in read_transcript(folder / "transcript.jsonl").answers]


def test_many_at_once_give_the_same_transcript_in_the_same_order(tmp_path):
    server = Server(see)
    with serving(server) as url:
        one = evaluate(endpoint.open(f"{url}#toy"), cohort(), tmp_path / "one", task="box", repeats=2)
        assert server.most == 1
        many = endpoint.open(f"{url}#toy", concurrency=6)
        six = evaluate(many, cohort(), tmp_path / "six", task="box", repeats=2, price_in=1.0, price_out=10.0)
    assert 2 <= server.most <= 6
    assert raws(tmp_path / "one") == raws(tmp_path / "six")
    assert one.scores.aggregate == six.scores.aggregate
    n = len(raws(tmp_path / "one"))
    assert six.scores.details["usage"]["cost"] == pytest.approx(n * (100 + 70) / 1e6)
    assert one.scores.details["usage"]["cost"] == "not stated"
    assert KEY not in (tmp_path / "six" / "transcript.jsonl").read_text()


def test_a_run_cut_off_asks_only_for_what_is_missing(tmp_path):
    server = Server(see)
    with serving(server) as url:
        model = endpoint.open(f"{url}#toy", concurrency=4)
        whole = evaluate(model, cohort(), tmp_path / "whole", task="box")
        path = tmp_path / "whole" / "transcript.jsonl"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[:3]) + lines[3][:30])
        asked = len(server.bodies)
        again = evaluate(model, cohort(), tmp_path / "whole", task="box")
        assert len(server.bodies) - asked == len(lines) - 3
        assert again.scores.aggregate == whole.scores.aggregate
        (tmp_path / "whole" / "results.json").unlink()
        with pytest.raises(RunError, match="another temperature"):
            evaluate(
                endpoint.open(f"{url}#toy", sampling=Sampling(0.5)), cohort(), tmp_path / "whole", task="box"
            )


def test_questions_that_fail_are_told_and_the_others_kept_in_order(tmp_path):
    lock, count_ = threading.Lock(), [0]

    def now_and_then(handler, body):
        with lock:
            count_[0] += 1
            bad = count_[0] % 3 == 0
        (say({"error": "no"}, 400) if bad else see)(handler, body)

    with serving(Server(now_and_then)) as url:
        model = endpoint.open(f"{url}#toy", concurrency=3)
        found = evaluate(model, cohort(), tmp_path, task="box")
    problems = found.scores.details["problems"]
    assert problems
    assert all("400 Bad Request: no" in problem for problem in problems)
    kept = [(case, index) for case, index, _, _ in raws(tmp_path)]
    assert kept == sorted(kept)


def test_ctrl_c_keeps_what_had_come_and_does_not_wait_for_the_rest(tmp_path):
    from voxzoo.eval.language.ahead import in_order

    release, kept = threading.Event(), []

    def work(n):
        if n == 1:
            main = threading.main_thread().ident
            while len(done) < 2:
                time.sleep(0.005)
            signal.pthread_kill(main, signal.SIGINT)
            release.wait(20)
        done.append(n)
        return n

    done = []
    start = time.monotonic()
    # a job in the background inherits that it is ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            in_order(work, range(9), lambda item, outcome: kept.append(outcome), most=4)
    finally:
        signal.signal(signal.SIGINT, before)
        release.set()
    assert time.monotonic() - start < 10
    assert kept[0] == 0
    assert 1 not in kept
    assert len(kept) > 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_other_exceptions_are_not_swallowed():
    from voxzoo.eval.language.ahead import in_order

    def work(n):
        raise ZeroDivisionError if n == 2 else VoxzooError(str(n))

    kept = []
    with pytest.raises(ZeroDivisionError):
        in_order(work, range(9), lambda item, outcome: kept.append(str(outcome)), most=3)
    assert kept == ["0", "1"]
