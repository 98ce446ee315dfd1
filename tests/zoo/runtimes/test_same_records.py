"""One tiny model in every runtime: transformers, llama.cpp, an endpoint and replay give the same records.

llama.cpp is asked token by token: an untrained model cuts text into other tokens than slots would.
"""

import base64
import json
import math
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
import torch

from voxzoo.eval.language.transcripts import read_transcript
from voxzoo.eval.runner import evaluate
from voxzoo.export.gguf.convert import convert
from voxzoo.export.networks.llava_nano import NanoSpec, build, save
from voxzoo.zoo.answerer import Question
from voxzoo.zoo.cases import ArraySource, Case
from voxzoo.zoo.datasets import Dataset
from voxzoo.zoo.language import load_language
from voxzoo.zoo.sampling import Sampling

pytest.importorskip("llama_cpp", reason='needs llama-cpp-python: pip install "voxzoo[llm]"')
TASKS = ("grade", "center", "box", "polygon")
EXACT = {"decoding": "grammar", "cache": "f32"}
CLASSES = {"low": "0", "high": "1", "none": "2"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The same random weights as a checkpoint and as GGUF in F32."""
    root = tmp_path_factory.mktemp("same")
    torch.manual_seed(3)
    model, _ = build(NanoSpec(vision_blocks=1, blocks=1))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2 and "embed" not in name:
                weight.mul_(4)  # so that answers differ from slice to slice
    save(model, root / "toy")
    done = convert(root / "toy", root / "gguf", "f32")
    return f"transformers:{root / 'toy'}", f"{done.text}+{done.mmproj}"


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    cases = []
    for i in range(2):
        head = np.zeros((20, 24, 28))
        head[2:18, 2:22, 2:26] = 100 + 30 * rng.random((16, 20, 24))
        mask = np.zeros(head.shape, np.uint8)
        mask[6:10, 8:14, 9 : 11 + i] = 2
        head[mask > 0] += 300
        sources = [ArraySource(array, np.eye(4), f"c{i}") for array in (head, mask)]
        cases.append(Case(f"c{i}", f"c{i}", {"flair": sources[0]}, reference=sources[1], grade="high"))
    return Dataset("toy", tuple(cases), "CC0", "memory", "phantom")


@contextmanager
def served(model):
    """An OpenAI-compatible server in front of a model in llama.cpp."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.reply({"data": [{"id": "toy", "owned_by": "llamacpp"}]})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            image, text = body["messages"][0]["content"]
            data = base64.b64decode(image["image_url"]["url"].split(",")[1])
            shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
            task = "grade" if body.get("logprobs") else "box"
            asked = Question(
                task, text["text"], shown, body["grammar"], body["max_tokens"], "", "axial", 0, 0
            )
            found = model.answer(asked)
            usage = {"prompt_tokens": found.tokens_in, "completion_tokens": found.tokens_out}
            choice = {"message": {"content": found.text}}
            if task == "grade":
                digits = [
                    {"token": CLASSES[n], "logprob": math.log(p)} for n, p in found.probabilities.items()
                ]
                tokens = [{"token": "Choice: "}, {"token": found.text[8], "top_logprobs": digits}]
                choice["logprobs"] = {"content": tokens}
            self.reply({"choices": [choice], "usage": usage, "model": "toy"})

        def reply(self, plain):
            data = json.dumps(plain).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"openai:http://127.0.0.1:{web.server_port}/v1#toy"
    finally:
        web.shutdown()
        web.server_close()


def answers(folder):
    return read_transcript(folder / "transcript.jsonl").answers


def probabilities(found):
    return [list(answer.probabilities.values()) for answer in found if answer.probabilities]


@pytest.mark.parametrize("task", TASKS)
def test_the_same_records_for_the_same_task(models, data, task, tmp_path):
    checkpoint, gguf = models
    options = {"task": task, "threads": 1, "prompt": "brief"}
    results = {"transformers": evaluate(checkpoint, data, tmp_path / "transformers", **options)}
    native = load_language(gguf, threads=1, **EXACT)
    del options["threads"]
    results["llama.cpp"] = evaluate(native, data, tmp_path / "llama.cpp", **options)
    with served(native) as url:
        results["endpoint"] = evaluate(url, data, tmp_path / "endpoint", concurrency=3, **options)
    recorded = f"replay:{tmp_path / 'endpoint' / 'transcript.jsonl'}"
    results["replay"] = evaluate(recorded, data, tmp_path / "replay", task=task)
    first = answers(tmp_path / "transformers")
    assert len({answer.raw for answer in first}) > 1
    for name in ("llama.cpp", "endpoint"):
        found = answers(tmp_path / name)
        for field in ("case", "slice", "raw", "image_sha256", "prompt_sha256", "shown"):
            assert [getattr(a, field) for a in found] == [getattr(a, field) for a in first], (name, field)
        near = [pytest.approx(row, abs=2e-3) for row in probabilities(first)]
        assert probabilities(found) == near
        assert bool(near) == (task == "grade")
    for name, found in results.items():
        assert found.scores.details["problems"] == [], name
        for metric, figure in found.aggregate.items():
            if metric != "auc":  # of probabilities, which agree to a thousandth
                assert figure.mean == pytest.approx(
                    results["transformers"].aggregate[metric].mean, nan_ok=True
                )


def test_drawn_answers_are_the_same_in_transformers_and_llama_cpp(models, data):
    """Noise comes from the question's own generator in both; logits agree to 1e-4 and draws seldom tie."""
    checkpoint, gguf = (
        load_language(spec, threads=1, sampling=Sampling(0.7, 5), **own)
        for spec, own in zip(models, ({}, EXACT), strict=True)
    )
    case = data.volumes()[0]
    for repeat in range(3):
        one, other = (
            m.ask(case, "center", slice=9, prompt="brief", repeat=repeat) for m in (checkpoint, gguf)
        )
        assert one.text == other.text
        assert one.sampling["question_seed"] == other.sampling["question_seed"]
