"""The bundled llava-nano: on phantoms that it never saw, at any temperature, and with its demo adapter."""

import json

import numpy as np
import pytest

pytest.importorskip("llama_cpp", reason="needs the [llm] extra")

import voxzoo
from voxzoo.zoo.answerer import Question
from voxzoo.zoo.entries import WEIGHTS, entries
from voxzoo.zoo.language import load_language
from voxzoo.zoo.sampling import Sampling
from voxzoo.zoo.tasks.prompt import choose_prompt, prompt_task

NAME = "llava-nano"
ADAPTER = WEIGHTS / "llava-nano-t2"
TASKS = ("grade", "center", "box", "polygon")


def test_it_is_small_enough_to_ship():
    assert entries()[NAME].total_bytes < 6e6


@pytest.mark.parametrize(("task", "metric", "least"), [("box", "dice", 0.45), ("center", "in_box", 0.7)])
def test_on_phantoms_of_another_seed(tmp_path, task, metric, least):
    results = voxzoo.evaluate(NAME, "phantom", tmp_path, task=task, limit=4, protocol="all", threads=1)
    assert results.aggregate[metric].mean > least
    trivial = next(iter(results.baselines.values()))
    assert results.aggregate[metric].mean > trivial.aggregate[metric].mean


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_the_same_answers_again_and_all_of_them_parse(temperature):
    image = np.random.default_rng(3).integers(0, 256, (128, 128), dtype=np.uint8)

    def asked():
        model = load_language(NAME, sampling=Sampling(temperature, 7), threads=1)
        for task in TASKS:
            known = prompt_task(task)
            text = choose_prompt(known, "brief").text
            for repeat in range(5):
                question = Question(
                    task, text, image, known.grammar(), known.new_tokens, "c", "axial", 4, repeat
                )
                yield task, model.answer(question).text

    first, second = list(asked()), list(asked())
    assert first == second
    assert all(prompt_task(task).parse(text, "strict").value is not None for task, text in first)
    assert (len(set(first)) > len(TASKS)) == (temperature > 0)


def test_the_demo_adapter_merges_into_the_shipped_files(tmp_path):
    pytest.importorskip("gguf", reason="needs the [llm] extra")
    from click.testing import CliRunner

    from voxzoo.export.merge_cli import command

    words = ["--base", NAME, "--adapter", ADAPTER.name, "--out", str(tmp_path)]
    done = CliRunner().invoke(command, words, standalone_mode=False)
    assert done.exception is None, done.output
    assert json.loads((ADAPTER / "adapter_config.json").read_text())["peft_type"] == "LORA"
    (merged,) = [path for path in tmp_path.iterdir() if not path.name.startswith("mmproj")]
    model = load_language(str(merged), threads=1, trusted=True)
    assert model.contract.name == NAME
    assert "llava-nano-t2" in model.contract.version
    image = np.zeros((128, 128), np.uint8)
    assert model(image, "box") is not None
    assert {path.name for path in tmp_path.iterdir()} == {"llava-nano.gguf", "mmproj-llava-nano-F16.gguf"}
