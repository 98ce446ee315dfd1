"""llama.cpp on a tiny LLaVA: its numbers are those of transformers, answers repeat, errors have words."""

import json
import os
import signal
import struct
import sys

import numpy as np
import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch", reason='needs torch: pip install "voxzoo[train]"')
pytest.importorskip("transformers", reason='builds the model: pip install "voxzoo[train]"')
pytest.importorskip("llama_cpp", reason='needs llama-cpp-python: pip install "voxzoo[llm]"')

import voxzoo  # noqa: E402
from voxzoo.eval.runner import evaluate  # noqa: E402
from voxzoo.export.gguf.convert import convert  # noqa: E402
from voxzoo.export.networks.llava_nano import NanoSpec, build, save  # noqa: E402
from voxzoo.zoo import gguffile, registry  # noqa: E402
from voxzoo.zoo.answerer import Question  # noqa: E402
from voxzoo.zoo.cases import ArraySource, Case  # noqa: E402
from voxzoo.zoo.cli import command  # noqa: E402
from voxzoo.zoo.datasets import Dataset  # noqa: E402
from voxzoo.zoo.errors import (  # noqa: E402
    ContractError,
    DeviceError,
    InputError,
    IntegrityError,
    MissingDependencyError,
    ModelError,
    ModelNotFoundError,
    RunError,
    UsageError,
)
from voxzoo.zoo.ggufpair import open_pair  # noqa: E402
from voxzoo.zoo.language import LanguageModel, load_language, open_answerer  # noqa: E402
from voxzoo.zoo.prompt_contract import MmprojSpec, PromptContract  # noqa: E402
from voxzoo.zoo.runtimes import llamacpp_native, llamacpp_probe  # noqa: E402
from voxzoo.zoo.runtimes.llamacpp_native import Settings  # noqa: E402
from voxzoo.zoo.sampling import Sampling  # noqa: E402
from voxzoo.zoo.specs import LicenceSpec  # noqa: E402
from voxzoo.zoo.tasks.prompt import choose_prompt, prompt_task  # noqa: E402
from voxzoo.zoo.tasks.slices import SliceRule  # noqa: E402

TASKS = ("grade", "center", "box", "polygon")
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 128, 128), dtype=np.uint8)
EXACT = {"threads": 1, "cache": "f32", "trusted": True}


@pytest.fixture(scope="module")
def nano(tmp_path_factory):
    """(folder of ``nano.gguf``, signed, beside ``nano-mmproj.gguf``; the same model in transformers)."""
    root = tmp_path_factory.mktemp("nano")
    torch.manual_seed(1)
    model, processor = build(NanoSpec(32, 1, 64, 1, 64, 1, 96, 2, 1))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2 and "embed" not in name:
                weight.mul_(4)  # so that answers differ from image to image
    save(model, root / "hf")
    done = convert(root / "hf", root / "out", "f32")
    mmproj = root / "out" / "nano-mmproj.gguf"
    done.mmproj.rename(mmproj)
    facts = PromptContract(
        name="tiny-nano",
        version="0.1",
        prompts={"grade": "brief", "center": "brief", "box": "question", "polygon": "brief"},
        image=(128, 128),
        slices=SliceRule(place="full"),
        mmproj=MmprojSpec(mmproj.name, gguffile.inspect(mmproj).sha256),
        licence=LicenceSpec("Apache-2.0", "none", "confirmed"),
    )
    gguffile.with_contract(done.text, facts, root / "out" / "nano.gguf")
    return root / "out", model, processor


@pytest.fixture(scope="module")
def path(nano):
    return str(nano[0] / "nano.gguf")


@pytest.fixture(scope="module")
def model(path):
    return load_language(path, **EXACT)


def ask(task, image=IMAGES[0], wording="brief", repeat=0, text=None, new_tokens=None):
    known = prompt_task(task)
    text = choose_prompt(known, wording).text if text is None else text
    new_tokens = known.new_tokens if new_tokens is None else new_tokens
    return Question(task, text, image, known.grammar(), new_tokens, "c", "axial", 4, repeat)


def cohort(n=2):
    cases = []
    for i in range(n):
        head = np.zeros((14, 24, 28))
        head[2:12, 2:22, 2:26] = 100 + np.random.default_rng(i).random((10, 20, 24)) * 40
        mask = np.zeros(head.shape, np.uint8)
        mask[5 : 8 + i, 8:14, 9:17] = 2
        head[mask > 0] += 300
        head, mask = (ArraySource(array, np.eye(4), f"c{i}") for array in (head, mask))
        cases.append(Case(f"c{i}", f"c{i}", {"flair": head}, reference=mask, grade="high" if i else "low"))
    return Dataset("toy", tuple(cases), "CC0", "memory", "phantom")


class Oracle:
    """The same checkpoint in transformers, asked for one number after the other."""

    def __init__(self, model, processor):
        self.model, self.processor, self.tokens = model, processor, processor.tokenizer
        self.numbers = [self.tokens.encode(str(n), add_special_tokens=False)[0] for n in range(128)]

    def shares(self, image, prompt, answer):
        """Softmax over the numbers after ``answer``."""
        content = [{"type": "image"}, {"type": "text", "text": prompt}]
        said = [{"role": "user", "content": content}]
        text = self.processor.apply_chat_template(said, add_generation_prompt=True, tokenize=False)
        shown = torch.from_numpy(np.repeat(image[None], 3, axis=0))
        inputs = self.processor(
            text=text + answer, images=[shown], add_special_tokens=False, return_tensors="pt"
        )
        with torch.inference_mode():
            logits = self.model(**inputs).logits[0, -1, self.numbers]
        return torch.softmax(logits.double(), 0).numpy()


class TestAgainstTransformers:
    @pytest.mark.parametrize(
        ("task", "form"),
        [("center", "({}, {})"), ("box", "[({}, {}), ({}, {}), ({}, {}), ({}, {})]")],
    )
    def test_slots(self, nano, model, task, form):
        oracle = Oracle(*nano[1:])
        for image in IMAGES[:2]:
            question, values, shares = ask(task, image), [], []
            while form.count("{}") > len(values):
                before = "{}".join(form.split("{}")[: len(values) + 1]).format(*values)
                shares.append(oracle.shares(image, question.prompt, before))
                values.append(int(shares[-1].argmax()))
            reply = model.answer(question)
            assert reply.text == form.format(*values)
            assert np.allclose(reply.distributions, shares, atol=2e-3)

    @pytest.mark.parametrize("decoding", ["slots", "grammar"])
    def test_classes(self, nano, path, decoding):
        shares = Oracle(*nano[1:]).shares(IMAGES[1], ask("grade").prompt, "Choice: ")[:3]
        reply = open_answerer(path, decoding=decoding, **EXACT).answer(ask("grade", IMAGES[1]))
        assert list(reply.probabilities) == ["low", "high", "none"]
        assert np.allclose(list(reply.probabilities.values()), shares / shares.sum(), atol=2e-3)
        assert reply.text.startswith(f"Choice: {shares.argmax()}")


class TestAnswers:
    @pytest.mark.parametrize(("temperature", "decoding"), [(0, "slots"), (0.7, "slots"), (0.7, "grammar")])
    def test_repeat_in_any_order(self, path, temperature, decoding):
        """Prefix reuse, other questions between, a fresh state: nothing changes an answer."""
        few = TASKS if decoding == "slots" else ("grade", "center")
        questions = [ask(t, image, repeat=r) for image in IMAGES for t in few for r in range(2)]
        drawn = Sampling(temperature, 5)
        told = []
        for order in (1, -1, 1):
            one = open_answerer(path, sampling=drawn, decoding=decoding, **EXACT)
            told.append([one.answer(q) for q in questions[::order]][::order])
        texts = [[reply.text for reply in replies] for replies in told]
        assert texts[0] == texts[1] == texts[2]
        assert [r.probabilities for r in told[0]] == [r.probabilities for r in told[1]]
        assert len(set(texts[0])) > len(few)
        if temperature:
            assert texts[0][::2] != texts[0][1::2]
            assert told[0][0].sampling["question_seed"] != told[0][1].sampling["question_seed"]
        else:
            assert texts[0][::2] == texts[0][1::2]

    def test_another_seed_draws_otherwise(self, path):
        def of(seed):
            drawn = open_answerer(path, sampling=Sampling(0.7, seed), **EXACT)
            return [drawn.answer(ask(task)).text for task in TASKS]

        assert of(1) != of(2)

    @pytest.mark.parametrize(("temperature", "decoding"), [(0, "slots"), (5, "slots"), (5, "grammar")])
    def test_every_answer_parses(self, path, temperature, decoding):
        drawn = open_answerer(path, sampling=Sampling(temperature, 1), decoding=decoding, **EXACT)
        for task in TASKS:
            room = 200 if task in ("box", "polygon") else None
            for image in IMAGES[:2]:
                reply = drawn.answer(ask(task, image, new_tokens=room))
                assert prompt_task(task).parse(reply.text, "strict").value is not None

    def test_what_is_said_of_an_answer(self, model):
        reply = model.answer(ask("center"))
        assert reply.tokens_out == 5
        assert reply.tokens_in == 1 + 64 + 4 + 1  # mark, image, four pieces of the prompt, mark of the answer
        assert [d.shape for d in reply.distributions] == [(128,), (128,)]
        assert reply.sampling["decoding"] == "slots"
        assert model.runtime.name == "llama.cpp"
        assert (model.runtime.device, model.runtime.precision, model.runtime.threads) == ("cpu", "f32", 1)

    def test_free(self, path):
        reply = open_answerer(path, grammar="none", **EXACT).answer(ask("box", new_tokens=7))
        assert reply.tokens_out <= 7
        assert reply.sampling["decoding"] == "free"

    def test_threads_wait_for_each_other(self, model):
        from concurrent.futures import ThreadPoolExecutor

        questions = [ask("center", image) for image in IMAGES] * 3
        with ThreadPoolExecutor(4) as pool:
            together = [reply.text for reply in pool.map(model.answer, questions)]
        assert together == [model.answer(q).text for q in questions]

    @pytest.mark.parametrize(("temperature", "decoding"), [(0, "slots"), (0.7, "slots"), (0.7, "grammar")])
    def test_side_by_side_is_one_by_one(self, path, temperature, decoding):
        """In F32 the last bits of sums in another order change no answer of these."""
        few = TASKS if decoding == "slots" else ("grade", "center")
        questions = [ask(task, image, repeat=r) for image in IMAGES[:2] for task in few for r in range(3)]
        questions.append(Question("note", "what is it", None, "", 5, "c", "axial", 4, 0))  # without an image
        options = {"sampling": Sampling(temperature, 5), "decoding": decoding, **EXACT}
        alone = [open_answerer(path, **options).answer(q) for q in questions]
        together = open_answerer(path, concurrency=5, **options)
        for _ in range(2):
            replies = together.answer_all(questions)
            assert [r.text for r in replies] == [r.text for r in alone]
            assert [r.tokens_in for r in replies] == [r.tokens_in for r in alone]
            for mine, other in zip(replies, alone, strict=True):
                if other.probabilities:
                    assert mine.probabilities == pytest.approx(other.probabilities, abs=1e-5)
                np.testing.assert_allclose(mine.distributions, other.distributions, atol=1e-5)
        assert together.answer(questions[0]).text == alone[0].text

    def test_one_that_fails_leaves_the_others_alone(self, path):
        good, long = ask("center"), ask("center", text="where " * 5000)
        small = ask("center", np.zeros((64, 64), np.uint8))
        replies = open_answerer(path, concurrency=3, **EXACT).answer_all([good, long, good, small])
        assert replies[0].text == replies[2].text
        assert isinstance(replies[1], InputError)
        assert "more than the context" in str(replies[1])
        assert "takes (128, 128)" in str(replies[3])

    def test_nothing_is_printed(self, path, capfd):
        open_answerer(path, **EXACT).answer(ask("center"))
        assert capfd.readouterr() == ("", "")


class TestLoaded:
    def test_call_and_ask(self, path):
        model = voxzoo.load(path, threads=1)
        assert isinstance(model, LanguageModel)
        assert (model.name, model.contract.version) == ("tiny-nano", "0.1")
        found = model(IMAGES[0], task="center")
        assert found.value == prompt_task("center").parse(model.ask(IMAGES[0], "center").text).value

    def test_a_slice_of_a_case_in_the_contracts_way(self, model):
        from voxzoo.zoo.slices2d import open_slices

        case = cohort(1).cases[0]
        image = open_slices(case, SliceRule(which="all", place="full")).image(6)
        assert model(case, "box", slice=6) == model(image, "box")
        with pytest.raises(UsageError, match="which slice"):
            model(case, "box")

    def test_wording_of_the_contract(self, model):
        asked = model.ask(IMAGES[0], "box")
        assert asked == model.ask(IMAGES[0], "box", prompt="question")
        brief = model.ask(IMAGES[0], "box", prompt="brief")
        assert not np.allclose(asked.distributions[0], brief.distributions[0])

    def test_a_task_it_was_not_made_for(self, nano):
        folder = nano[0]
        facts = gguffile.inspect(folder / "nano.gguf").contract()
        narrow = PromptContract(**{**vars(facts), "prompts": {"box": "brief"}, "content_sha256": ""})
        model = load_language(str(folder / "nano.gguf"), contract=narrow, **EXACT)
        with pytest.raises(UsageError, match="tiny-nano was made for box"):
            model(IMAGES[0], "center")
        assert model(IMAGES[0], "center", prompt="brief").value is not None

    def test_any_two_files(self, nano, tmp_path):
        folder = nano[0]
        gguffile.with_texts(folder / "nano.gguf", {gguffile.KEY: None}, tmp_path / "bare.gguf")
        with pytest.raises(ContractError, match="give both files"):
            voxzoo.load(tmp_path / "bare.gguf")
        model = load_language(f"{tmp_path / 'bare.gguf'}+{folder / 'nano-mmproj.gguf'}", **EXACT)
        assert (model.name, model.contract) == ("bare", None)
        small = np.ascontiguousarray(IMAGES[0, :90, :70])
        assert model(small, "center").value is not None


class TestRefused:
    @pytest.mark.parametrize(
        ("image", "message"),
        [
            (IMAGES[0].astype(np.uint16), "got uint16, expected uint8"),
            (IMAGES[0] / 255.0, "got float64, expected uint8"),
            (IMAGES[0, :100], r"got shape \(100, 128\), tiny-nano takes \(128, 128\)"),
            (IMAGES[:, :, :, None], "got shape"),
            (np.zeros((128, 128, 4), np.uint8), "got shape"),
        ],
    )
    def test_images(self, model, image, message):
        with pytest.raises(InputError, match=message):
            model.answer(ask("box", image))

    def test_grey_in_three_channels_is_grey(self, model):
        colour = np.repeat(IMAGES[0][..., None], 3, axis=2)
        assert model.answer(ask("box", colour)).text == model.answer(ask("box")).text

    def test_prompts_longer_than_the_context(self, path, model):
        with pytest.raises(InputError, match=r"image takes 65 tokens, the prompt \d+, the answer up to 40"):
            model.answer(ask("box", text="where? " * 2000))
        assert model.answer(ask("box")).text  # and goes on
        with pytest.raises(InputError, match="the context holds 32"):
            open_answerer(path, context=32, **EXACT).answer(ask("box"))

    def test_devices(self, path):
        if llamacpp_native.offers_gpu():
            pytest.skip("this build has a GPU")
        with pytest.raises(DeviceError, match="sees no GPU"):
            voxzoo.load(path, device="cuda")

    @pytest.mark.parametrize(
        "options",
        [
            {"precision": "bf16"},
            {"runtime": "onnxruntime"},
            {"device": "tpu"},
            {"decoding": "beam"},
            {"cache": "q4"},
            {"context": 0},
            {"grammar": "mine"},
            {"concurrency": 0},
        ],
    )
    def test_options(self, path, options):
        with pytest.raises(UsageError):
            load_language(path, **{**EXACT, **options})

    def test_flips(self, path):
        with pytest.raises(UsageError, match="flips"):
            voxzoo.load(path, flips="lr")

    def test_nothing_there(self, path):
        with pytest.raises(ModelNotFoundError):
            voxzoo.load("none.gguf")
        with pytest.raises(ModelNotFoundError):
            voxzoo.load(f"{path}+none.gguf")

    def test_changed_mmproj(self, nano, tmp_path):
        for name in ("nano.gguf", "nano-mmproj.gguf"):
            (tmp_path / name).write_bytes((nano[0] / name).read_bytes())
        raw = bytearray((tmp_path / "nano-mmproj.gguf").read_bytes())
        raw[-1] ^= 1
        (tmp_path / "nano-mmproj.gguf").write_bytes(raw)
        with pytest.raises(IntegrityError, match="mmproj of another model, or one that was changed"):
            voxzoo.load(tmp_path / "nano.gguf")

    def test_cut(self, nano, tmp_path):
        (tmp_path / "cut.gguf").write_bytes((nano[0] / "nano.gguf").read_bytes()[:-4000])
        with pytest.raises(IntegrityError, match="cut short"):
            voxzoo.load(tmp_path / "cut.gguf")

    def test_without_the_package(self, path, monkeypatch):
        monkeypatch.setitem(sys.modules, "llama_cpp", None)
        llamacpp_native._library.cache_clear()
        try:
            with pytest.raises(MissingDependencyError, match=r'DGGML_NATIVE=OFF pip install "voxzoo\[llm\]"'):
                voxzoo.load(path)
        finally:
            monkeypatch.undo()
            llamacpp_native._library.cache_clear()


class TestTrial:
    """Files that nobody vouched for are opened in another process first."""

    def patched(self, nano, tmp_path, key, value):
        """The pair with a number among its key-values changed."""
        raw = bytearray((nano[0] / "nano.gguf").read_bytes())
        entry = gguffile.read_gguf_header(nano[0] / "nano.gguf").metadata[key]
        raw[entry.end - 4 : entry.end] = struct.pack("<I", value)
        (tmp_path / "bad.gguf").write_bytes(raw)
        (tmp_path / "nano-mmproj.gguf").write_bytes((nano[0] / "nano-mmproj.gguf").read_bytes())
        return tmp_path / "bad.gguf"

    @pytest.mark.parametrize(
        ("key", "value"),
        [("llama.block_count", 7), ("llama.attention.head_count", 3), ("llama.attention.head_count", 0)],
    )
    def test_what_llama_cpp_cannot_open(self, nano, tmp_path, key, value):
        with pytest.raises(ModelError, match=r"bad\.gguf"):
            voxzoo.load(self.patched(nano, tmp_path, key, value), threads=1)

    @pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGABRT])
    def test_a_crash_is_a_message(self, path, how):
        crash = (sys.executable, "-c", f"import os; os.kill(os.getpid(), {int(how)})")
        with pytest.raises(ModelError, match=f"crashes on them.*{how.name}.*not used"):
            llamacpp_probe.probe(open_pair(gguffile.Path(path)), Settings(context=7), crash)

    def test_one_that_never_ends(self, path, monkeypatch):
        monkeypatch.setattr(llamacpp_probe, "_SECONDS", 0.2)
        sleep = (sys.executable, "-c", "import time; time.sleep(60)")
        with pytest.raises(ModelError, match="did not open it in"):
            llamacpp_probe.probe(open_pair(gguffile.Path(path)), Settings(context=8), sleep)


class TestZoo:
    @pytest.fixture
    def zoo(self, nano, tmp_path, monkeypatch):
        real = registry.entries
        monkeypatch.setattr(registry, "WEIGHTS", tmp_path)
        monkeypatch.setattr(registry, "entries", lambda folder=None: real(folder or tmp_path))
        registry.register(nano[0] / "nano.gguf", "a toy that answers", folder=tmp_path)
        return tmp_path

    def test_two_files_of_one_name(self, zoo):
        (entry,) = registry.entries().values()
        assert (entry.task, entry.file, entry.mmproj.file) == ("prompt", "tiny-nano.gguf", "nano-mmproj.gguf")
        assert registry.is_local(entry)
        model = voxzoo.load("tiny-nano", threads=1)
        assert model(IMAGES[0], "box").value is not None

    def test_commands(self, zoo):
        def run(*words):
            return CliRunner().invoke(command, words, standalone_mode=False)

        listed = run("list").output
        sizes = [(zoo / name).stat().st_size / 1e6 for name in ("tiny-nano.gguf", "nano-mmproj.gguf")]
        assert f"prompt  {sizes[0]:.2f} MB + {sizes[1]:.2f} MB mmproj" in listed
        shown = run("show", "tiny-nano").output
        assert "box (question)" in shown
        assert "nano-mmproj.gguf" in shown
        assert json.loads(run("show", "--json", "tiny-nano").output)["contract"]["task"] == "prompt"
        assert "agrees with registry and contract" in run("verify", "tiny-nano").output
        with open(zoo / "nano-mmproj.gguf", "r+b") as stream:
            stream.seek(-1, os.SEEK_END)
            stream.write(b"\x01")
        done = run("verify", "tiny-nano")
        assert "mmproj of another model, or one that was changed" in done.output + done.stderr


class TestRuns:
    def run(self, path, out, task="box", **options):
        return evaluate(path, cohort(), out, task=task, threads=1, **options)

    @pytest.mark.parametrize("task", TASKS)
    def test_a_replay_gives_the_same_aggregates(self, path, tmp_path, task):
        live = self.run(path, tmp_path / "live", task)
        replayed = evaluate(f"replay:{tmp_path / 'live' / 'transcript.jsonl'}", cohort(), task=task)
        assert json.dumps(live.to_dict()["aggregate"]) == json.dumps(replayed.to_dict()["aggregate"])
        lines = (tmp_path / "live" / "transcript.jsonl").read_text().splitlines()
        assert len(lines) == 2 * 8  # slices 9 to 16 of both
        first = json.loads(lines[0])
        assert first["prompt"] == ("question" if task == "box" else "brief")
        assert first["shown"]["place"] == "full"
        assert first["shown"]["which"] == "tumour"
        assert ("probabilities" in first) == (task == "grade")

    def test_a_run_that_was_cut_off_goes_on(self, path, tmp_path):
        def answers(folder):
            lines = (tmp_path / folder / "transcript.jsonl").read_text().splitlines()
            return [(r["slice"], r["raw"]) for r in map(json.loads, lines)]

        drawn = {"temperature": 0.7, "seed": 3}
        whole = self.run(path, tmp_path / "a", **drawn)
        self.run(path, tmp_path / "b", **drawn)
        kept = (tmp_path / "b" / "transcript.jsonl").read_text().splitlines(keepends=True)[:4]
        for name in (tmp_path / "b").iterdir():
            name.unlink()
        (tmp_path / "b" / "transcript.jsonl").write_text("".join(kept))
        again = self.run(path, tmp_path / "b", **drawn)
        assert answers("a") == answers("b")
        assert whole.to_dict()["aggregate"] == again.to_dict()["aggregate"]
        with pytest.raises(RunError, match=r"another|belongs"):
            self.run(path, tmp_path / "b", temperature=0.0, seed=3)

    def test_a_run_side_by_side_goes_on_with_the_same_batches(self, path, tmp_path):
        drawn = {"temperature": 0.7, "seed": 3, "repeats": 5}
        wanted = self.run(path, tmp_path / "a", **drawn).to_dict()["aggregate"]
        whole = self.run(path, tmp_path / "b", concurrency=3, **drawn)
        assert whole.to_dict()["aggregate"] == wanted
        transcript = tmp_path / "b" / "transcript.jsonl"
        raw = [json.loads(line)["raw"] for line in transcript.read_text().splitlines()]
        kept = transcript.read_text().splitlines(keepends=True)[:7]
        for name in (tmp_path / "b").iterdir():
            name.unlink()
        transcript.write_text("".join(kept))
        again = self.run(path, tmp_path / "b", concurrency=3, **drawn)
        assert again.to_dict()["aggregate"] == wanted
        assert [json.loads(line)["raw"] for line in transcript.read_text().splitlines()] == raw

    def test_without_a_task(self, path):
        with pytest.raises(UsageError, match="say what is asked"):
            evaluate(path, cohort())

    def test_a_model_of_another_kind(self):
        with pytest.raises(UsageError, match="is no language model"):
            evaluate("cnn3d-seg", cohort(), task="box")
