"""llava-nano untrained: tokens of prompts and answers, a stock checkpoint, the computation of the stock."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from voxzoo.export.language.conversation import answer_text, keywords, prompt_text, targets_of  # noqa: E402
from voxzoo.export.language.sampling import answer_ids, question_ids  # noqa: E402
from voxzoo.export.language.slots import SlotDecoder  # noqa: E402
from voxzoo.export.language.vocabulary import build_tokenizer, number_ids  # noqa: E402
from voxzoo.export.networks import build as build_network  # noqa: E402
from voxzoo.export.networks.llava_nano import NanoSpec, build, patch_states, save  # noqa: E402
from voxzoo.zoo.tasks.prompt import PROMPT_TASKS, prompt_task  # noqa: E402
from voxzoo.zoo.tasks.slices import PLANES  # noqa: E402

from .nano_cases import SMALL, disc  # noqa: E402


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(3)
    return build(NanoSpec(**SMALL))


def test_it_has_about_three_million_parameters():
    model, _ = build()
    assert 2.9e6 < sum(p.numel() for p in model.parameters()) < 3.2e6
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_every_number_is_one_token_and_no_two_share_one():
    tokens = build_tokenizer()
    ids = number_ids(tokens)
    assert len(set(ids)) == 128
    assert [tokens.decode([n]) for n in ids] == [str(n) for n in range(128)]


@pytest.mark.parametrize("task", PROMPT_TASKS)
@pytest.mark.parametrize("plane", list(PLANES))
def test_every_wording_is_few_tokens_and_comes_back(task, plane):
    tokens = build_tokenizer()
    for wording in prompt_task(task).prompts:
        for modality, most in (("flair", 6), ("t2", 6), ("t1ce", 12)):
            text = prompt_text(task, wording, modality, plane, (128, 128))
            ids = tokens.encode(text, add_special_tokens=False)
            assert len(ids) <= most
            assert tokens.decode(ids) == text


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=60))
def test_any_text_tokenises_and_comes_back(text):
    tokens = build_tokenizer()
    ids = tokens.encode(text, add_special_tokens=False)
    assert tokens.decode(ids, clean_up_tokenization_spaces=False) == text


def test_the_tokenizer_is_the_same_every_time():
    first = build_tokenizer().get_vocab()
    build_tokenizer.cache_clear()
    assert build_tokenizer().get_vocab() == first


def _regex(task):
    """The grammar of a task's answers, written by hand."""
    number = r"(?:[0-9]|[1-9][0-9]|1[01][0-9]|12[0-7])"
    point = rf"\({number}, {number}\)"
    word = r"[A-Za-z][A-Za-z0-9 -]{0,39}"
    return {
        "center": point,
        "box": rf"\[{point}, {point}, {point}, {point}\]",
        "polygon": rf"\({point}(?:, {point}){{2,14}}\)",
        "grade": rf"Choice: [0-2] Reasoning: {word}(?:, ?{word}){{0,9}}",
    }[task]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 127), st.integers(0, 127), st.integers(0, 40), st.sampled_from([0, 1]))
def test_answers_follow_the_grammar_and_say_the_target(row, col, radius, grade):
    one = disc(row, col, radius, grade=grade)
    found = targets_of(one, PROMPT_TASKS)
    assert set(found) == (set(PROMPT_TASKS) if one.mask.any() else {"grade"})
    for task, target in found.items():
        text = answer_text(task, target, one)
        assert re.fullmatch(_regex(task), text)
        parsed = prompt_task(task).parse(text, "strict")
        wanted = tuple(int(np.ceil(v - 0.5)) for v in target) if task == "center" else target
        assert parsed.value == wanted
        ids = answer_ids(text)
        assert len(ids) - 1 <= prompt_task(task).new_tokens
        assert build_tokenizer().decode(ids[:-1]) == text


def test_reasons_are_what_the_mask_shows():
    assert keywords(1, disc(30, 40, 14)) == ["high grade", "medium", "anterior", "right"]
    assert keywords(0, disc(100, 90, 5, grade=0)) == ["low grade", "small", "posterior", "left"]


def test_a_saved_one_loads_in_transformers_as_it_is(small, tmp_path):
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model, _ = small
    save(model, tmp_path)
    again = AutoModelForImageTextToText.from_pretrained(tmp_path)
    processor = AutoProcessor.from_pretrained(tmp_path)
    assert type(again).__name__ == "LlavaForConditionalGeneration"
    one = disc(40, 70, 10)
    content = [
        {"type": "image"},
        {"type": "text", "text": prompt_text("box", "brief", "flair", "axial", (128, 128))},
    ]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(text=text, images=[one.image[..., None].repeat(3, 2)], return_tensors="pt")
    ids = inputs["input_ids"][0].tolist()
    question = question_ids("box", "brief", "flair", "axial", (128, 128))
    image = processor.image_token_id
    assert ids == [processor.tokenizer.bos_token_id, *[image] * 64, *question]
    with torch.no_grad():
        assert torch.equal(again(**inputs).logits, model(**inputs).logits)


def test_grey_slices_are_normalised_as_the_processor_does(small):
    model, processor = small
    image = disc(40, 70, 10).image
    pixels = processor.image_processor(image[..., None].repeat(3, 2), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        mine = patch_states(model, torch.from_numpy(image)[None])
        stock = model.model.get_image_features(pixels).pooler_output[0]
    assert torch.allclose(mine[0], stock, atol=1e-5)


@pytest.mark.parametrize("task", ["center", "box", "polygon", "grade"])
def test_slots_give_what_a_search_without_a_cache_gives(small, task):
    """Independent: the stock model on the whole text for every token, the best that the grammar allows."""
    model, processor = small
    slices = [disc(40, 70, 10), disc(80, 60, 20)]
    images = torch.from_numpy(np.stack([one.image for one in slices]))
    found = SlotDecoder(model).answers(images, [task])[task]
    for one, text in zip(slices, found, strict=True):
        if task == "grade":
            assert text[:9] == _greedy(model, processor, one, task)[:9]
        else:
            assert text == _greedy(model, processor, one, task)
            assert prompt_task(task).parse(text, "strict").answered


def _greedy(model, processor, one, task):
    tokens, text = processor.tokenizer, ""
    numbers = {tokens.decode([n]): n for n in number_ids(tokens)}
    question = prompt_text(task, "brief", "flair", "axial", (128, 128))
    pixels = processor.image_processor(one.image[..., None].repeat(3, 2), return_tensors="pt")["pixel_values"]
    while True:
        allowed = _allowed(task, text, numbers)
        if len(allowed) == 1:
            text += allowed[0]
        elif allowed:
            prompt = f"{tokens.bos_token}{'<image>' * 64}{question}<|answer|>{text}"
            ids = torch.tensor([tokens.encode(prompt, add_special_tokens=False)])
            with torch.no_grad():
                logits = model(input_ids=ids, pixel_values=pixels).logits[0, -1]
            text += max(allowed, key=lambda piece: logits[tokens.convert_tokens_to_ids(piece)].item())
        else:
            return text


def _allowed(task, text, numbers):
    """The pieces that may come next, by hand."""
    if task == "grade":
        return ["Choice: "] if not text else ["0", "1", "2"] if text == "Choice: " else []
    start = {"center": "(", "box": "[(", "polygon": "(("}[task]
    if not text:
        return [start]
    written = len(re.findall(r"\d+", text))
    if text[-1] in "( " and not text.endswith(")"):
        return list(numbers)
    if not text[-1].isdigit():
        return []
    if written % 2:
        return [", "]
    points = written // 2
    if task == "center":
        return [")"]
    if task == "box":
        return [")]"] if points == 4 else ["), ("]
    return ["), ("] if points < 3 else ["))"] if points == 15 else ["), (", "))"]


def test_the_trainee_keeps_tied_weights_once_and_ties_them_again():
    torch.manual_seed(0)
    net = build_network("llava-nano", **SMALL)
    state = net.state_dict()
    assert "llava.lm_head.weight" not in state
    changed = {name: value + 1 for name, value in state.items()}
    net.load_state_dict(changed)
    llava = net.llava
    assert llava.lm_head.weight is llava.get_input_embeddings().weight
    assert torch.equal(llava.lm_head.weight, changed["llava.model.language_model.embed_tokens.weight"])


def test_neighbouring_numbers_begin_alike(small):
    words = small[0].get_input_embeddings().weight[number_ids(build_tokenizer())]
    alike = torch.nn.functional.cosine_similarity
    near, far = alike(words[:-1], words[1:]).mean(), alike(words[:64], words[64:]).mean()
    assert near > far + 0.3


def test_sizes_that_do_not_exist_are_refused():
    from voxzoo.zoo.errors import UsageError

    with pytest.raises(UsageError, match="llava-nano"):
        build_network("llava-nano", depth=3)
    assert dataclasses.asdict(NanoSpec())["blocks"] == 3
