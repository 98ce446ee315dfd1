"""Proof against transformers: a true conversion and merge pass, every kind of wrong one fails."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft", reason="the oracle")
pytest.importorskip("gguf", reason="needs the [llm] extra")
pytest.importorskip("llama_cpp", reason="needs the [llm] extra")

from click.testing import CliRunner  # noqa: E402

from voxzoo.export.gguf.adapter import read_adapter  # noqa: E402
from voxzoo.export.gguf.convert import convert  # noqa: E402
from voxzoo.export.gguf.merging import prepare  # noqa: E402
from voxzoo.export.gguf.pair import open_pair  # noqa: E402
from voxzoo.export.gguf.probe import Probe  # noqa: E402
from voxzoo.export.gguf.quantise_file import quantise_file  # noqa: E402
from voxzoo.export.gguf.reference import Reference  # noqa: E402
from voxzoo.export.gguf.verify import Check, Sides, divergence, picture, verify  # noqa: E402
from voxzoo.export.gguf_cli import command  # noqa: E402
from voxzoo.zoo.errors import IntegrityError, ModelError, UsageError  # noqa: E402
from voxzoo.zoo.ggufheader import read_gguf_header  # noqa: E402
from voxzoo.zoo.runtimes.llamacpp_native import Settings  # noqa: E402

from . import gguf_models  # noqa: E402

ALL = r".*(q_proj|k_proj|v_proj|o_proj|up_proj|down_proj|fc1|fc2|linear_1|linear_2)"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    model = gguf_models.llava(folder / "hf")
    return folder, model, convert(folder / "hf", folder, "f32")


@pytest.fixture(scope="module")
def merged(base, tmp_path_factory):
    """An adapter on text, tower and projector, and the pair with it merged."""
    _, model, made = base
    out = tmp_path_factory.mktemp("merged")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trained = peft.get_peft_model(model, peft.LoraConfig(r=4, lora_alpha=8, target_modules=ALL))
    torch.manual_seed(5)
    for name, parameter in trained.named_parameters():
        if "lora_B" in name:
            parameter.data += 0.2 * torch.randn_like(parameter)
    trained.save_pretrained(out / "a")
    done = prepare(open_pair(made.text, made.mmproj), [read_adapter(out / "a")]).write(out)
    return out / "a", done


def test_a_true_merge_passes(base, merged):
    adapter, done = merged
    found = verify(done.text, done.mmproj, base[0] / "hf", [(adapter, 1.0)])
    assert found.passed, found.lines()
    exact = [c for c in found.checks if c.limit == 1e-5]
    assert [c.name for c in exact] == ["text, exact", "image and text, exact, same eyes"]
    assert all(c.from_base is None or c.from_base > 0.1 for c in found.checks)


def test_two_adapters_with_weights_pass(base, merged, tmp_path):
    adapter, _ = merged
    (tmp_path / "b").mkdir()
    for path in adapter.iterdir():
        (tmp_path / "b" / path.name).write_bytes(path.read_bytes())
    weights = tmp_path / "b" / "adapter_model.safetensors"
    from safetensors.numpy import load_file, save_file

    save_file({k: v[::-1].copy() for k, v in load_file(weights).items()}, weights)
    both = [(adapter, 0.5), (tmp_path / "b", 1.0)]
    pair = open_pair(base[2].text, base[2].mmproj)
    done = prepare(pair, [read_adapter(folder, weight) for folder, weight in both]).write(tmp_path / "out")
    found = verify(done.text, done.mmproj, base[0] / "hf", both)
    assert found.passed, found.lines()


@pytest.mark.parametrize("part", ["text", "mmproj", "both"])
def test_a_merge_that_lost_a_part_fails(base, merged, part):
    adapter, done = merged
    text = base[2].text if part != "mmproj" else done.text
    mmproj = base[2].mmproj if part != "text" else done.mmproj
    found = verify(text, mmproj, base[0] / "hf", [(adapter, 1.0)])
    wrong = [c.name for c in found.checks if c.problem]
    assert not found.passed
    assert ("text, exact" in wrong) == (part != "mmproj")
    assert "image, embeddings" in wrong or part == "text"


def test_a_quantised_merge_is_nearer_to_the_merge_than_to_the_base(base, merged, tmp_path):
    adapter, _ = merged
    pair = open_pair(base[2].text, base[2].mmproj)
    done = prepare(pair, [read_adapter(adapter)], type="q8_0").write(tmp_path)
    found = verify(done.text, done.mmproj, base[0] / "hf", [(adapter, 1.0)])
    assert found.passed, found.lines()
    assert all(c.limit is None for c in found.checks)
    assert not verify(base[2].text, base[2].mmproj, base[0] / "hf", [(adapter, 1.0)]).passed


def test_text_alone_can_be_verified(tmp_path):
    gguf_models.llama(tmp_path / "hf")
    made = convert(tmp_path / "hf", tmp_path, "f32")
    found = verify(made.text, None, tmp_path / "hf")
    assert found.passed, found.lines()
    assert [c.name for c in found.checks] == ["text, exact", "text, as usual"]


def test_idefics3_passes_with_all_its_tiles(tmp_path):
    gguf_models.idefics3(tmp_path / "hf")
    made = convert(tmp_path / "hf", tmp_path, "f32")
    found = verify(made.text, made.mmproj, tmp_path / "hf")
    assert found.passed, found.lines()


def test_greedy_answers_are_the_same(base):
    folder, _, made = base
    reference, probe = Reference(folder / "hf"), Probe(str(made.text), str(made.mmproj), Settings())
    image = picture(32)
    text = reference.prompt("where is the tumour?", True)
    inputs = reference.inputs(image, text)
    with torch.inference_mode():
        wanted = reference._model.generate(**inputs, max_new_tokens=12, do_sample=False)
    before, after = (reference.ids(part) for part in text.split("<image>"))
    ids = probe.greedy([before, *probe.look(image), after], 12)
    assert ids == [i for i in wanted[0, inputs["input_ids"].shape[1] :].tolist() if i not in probe.ends()]


def test_an_mmproj_of_another_model_is_refused(base, tmp_path):
    gguf_models.llava(tmp_path / "hf", image_size=16)
    other = convert(tmp_path / "hf", tmp_path, "f32").mmproj
    with pytest.raises(ModelError, match="embeddings"):
        verify(base[2].text, other, base[0] / "hf")


def test_nothing_passes_that_is_no_number():
    assert Check("a", float("nan"), None).problem == "not a number"
    assert Check("a", 1e-9, 1e-5, from_base=1e-9).problem == "no nearer to the merged model than to the base"


def test_divergence_is_scipys():
    from scipy.special import rel_entr, softmax

    rng = np.random.default_rng(0)
    p, q = rng.standard_normal((2, 5, 30)).astype(np.float32)
    wanted = rel_entr(softmax(p, axis=1), softmax(q, axis=1)).sum(1).mean()
    assert divergence(p, q) == pytest.approx(wanted, rel=1e-5)


def test_command_line(base, tmp_path):
    folder = base[0]
    run = CliRunner().invoke
    done = run(command, ["convert", str(folder / "hf"), "--out", str(tmp_path), "--type", "f32"])
    assert done.exit_code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hf-F32.gguf", "mmproj-hf-F32.gguf"]
    pair = [str(tmp_path / "hf-F32.gguf"), "--mmproj", str(tmp_path / "mmproj-hf-F32.gguf")]
    verified = run(command, ["verify", *pair, "--checkpoint", str(folder / "hf")], standalone_mode=False)
    assert verified.return_value == 0
    assert "image and text, exact, own eyes" in verified.output
    small = run(command, ["quantise", pair[0], "--out", str(tmp_path / "q.gguf"), "--type", "q8_0"])
    assert small.exit_code == 0
    assert {t.type_name for t in read_gguf_header(tmp_path / "q.gguf").tensors.values()} == {"F32", "Q8_0"}
    refused = run(command, ["verify", *pair, "--checkpoint", str(folder / "hf"), "--weight", "1"])
    assert isinstance(refused.exception, UsageError)


def test_whole_files_are_quantised_as_by_rows(base, tmp_path):
    by_llama, own = tmp_path / "a.gguf", convert(base[0] / "hf", tmp_path, "q8_0").text
    quantise_file(base[2].text, by_llama, "q8_0")
    one, two = (Probe(str(path), None, Settings(cache="f32")).logits([[3, 5, 8]]) for path in (by_llama, own))
    assert (one == two).all()


def test_files_that_cannot_be_quantised(base, tmp_path):
    text, mmproj = base[2].text, base[2].mmproj
    with pytest.raises(UsageError, match="importance matrix"):
        quantise_file(text, tmp_path / "a.gguf", "iq2_xs")
    with pytest.raises(UsageError, match="expected one of f32"):
        quantise_file(text, tmp_path / "a.gguf", "q9")
    with pytest.raises(UsageError, match="an mmproj"):
        quantise_file(mmproj, tmp_path / "a.gguf", "q8_0")
    with pytest.raises(UsageError, match="is the source"):
        quantise_file(text, text, "q8_0")
    (tmp_path / "cut.gguf").write_bytes(text.read_bytes()[:-1000])
    with pytest.raises(IntegrityError):
        quantise_file(tmp_path / "cut.gguf", tmp_path / "a.gguf", "q8_0")
    assert [p.name for p in tmp_path.iterdir()] == ["cut.gguf"]


def test_sides_know_tokens_that_differ(base, tmp_path):
    folder, _, made = base
    data = made.text.read_bytes()
    (tmp_path / "a.gguf").write_bytes(data.replace(b"llama-bpe", b"llama-v3\x00"[:9]))
    broken = data.replace("Ġtumour".encode(), "Ġtumoux".encode())
    (tmp_path / "b.gguf").write_bytes(broken)
    reference = Reference(folder / "hf")
    assert Sides(reference, None, made.text, made.mmproj).same_tokens()
    assert broken != data
    assert not Sides(reference, None, tmp_path / "b.gguf", made.mmproj).same_tokens()
