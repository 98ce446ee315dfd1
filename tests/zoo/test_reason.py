"""The task ``reason``: what is asked, what may be answered, what the parser makes of what comes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxzoo.zoo.chat import text_conversation
from voxzoo.zoo.errors import ModelError, UsageError
from voxzoo.zoo.grammar import Grammar
from voxzoo.zoo.tasks.reason import PROMPTS, SECTIONS, STATUSES, TASK, Finding
from voxzoo.zoo.tasks.reasoned import declines

TWO = ("causes", "follow-up")
words = st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=30)


def whole(**texts):
    return json.dumps({name.replace("_", "-"): text for name, text in texts.items()})


@given(words, words)
def test_the_grammar_takes_what_json_writes_and_nothing_shorter(first, second):
    text = json.dumps({"causes": first, "follow-up": second})
    grammar = Grammar.parse(TASK.grammar(TWO))
    state = grammar.after(grammar.start, text)
    assert grammar.allows_end(state)
    assert grammar.must_end(state)
    assert not grammar.allows_end(grammar.after(grammar.start, text[:-1]))


def test_the_grammar_takes_no_other_order_and_no_other_section():
    grammar = Grammar.parse(TASK.grammar(TWO))
    for text in ('{"follow-up": "a", "causes": "b"}', '{"causes": "a"}', '{"causes": 1', '{"cause', "Sure"):
        assert not grammar.allows_end(grammar.after(grammar.start, text))
    assert list(TASK.schema(TWO)["properties"]) == TASK.schema(TWO)["required"] == list(TWO)


@given(st.lists(words, min_size=3, max_size=3), st.integers(0, 200))
def test_any_beginning_of_an_answer_keeps_its_finished_sections(texts, stop):
    sections = ("causes", "symptoms", "treatment")
    text = json.dumps(dict(zip(sections, texts, strict=True)), ensure_ascii=False)
    stop = min(stop, len(text) - 1)
    read = TASK.parse(text[:stop], sections)
    end = 1  # where each section's closing quote stands, counted here
    for name, said in zip(sections, texts, strict=True):
        end += len(json.dumps(name)) + 2 + len(json.dumps(said, ensure_ascii=False))
        found = read.sections[name]
        if stop >= end and any(c.isalnum() for c in said) and not declines(said):
            assert found.status == "answered"
            assert found.text == said.strip()
        elif stop < end:
            assert found.status in ("cut", "empty", "refused", "malformed")
            assert said.strip().startswith(found.text) or declines(said) or "\ufffd" in found.text
        end += 2
    assert stop >= end - 2 or read.status != "answered"


@given(st.one_of(st.text(max_size=200), st.text('{}":,\\causes[] 0', max_size=60)), st.none() | st.booleans())
def test_whatever_comes_every_section_is_there(text, finished):
    read = TASK.parse(text, TWO, finished)
    assert tuple(read.sections) == TWO
    assert read.status in STATUSES
    for section in read.sections.values():
        assert section.status in STATUSES
        assert bool(section.text) <= (section.status in ("answered", "cut"))


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("", "empty", "empty"),
        ("  \n", "empty", "empty"),
        ("Age is a cause.", "malformed", "malformed"),
        ("[1, 2]", "malformed", "malformed"),
        ("{" * 5000, "malformed", "malformed"),
        ('{"a": ' * 3000, "malformed", "malformed"),
        ("{", "cut", "cut"),
        ('{"cau', "cut", "cut"),
        ('{"causes": "Age', "cut", "cut"),
        ('{"causes": "Age", "follow-up": "', "answered", "cut"),
        ('{"causes": "Age"}', "answered", "malformed"),
        ('{"causes": "", "follow-up": " - "}', "empty", "empty"),
        ('{"causes": null, "follow-up": 7}', "empty", "malformed"),
        ('{"causes": ["Age", "fat."], "follow-up": {"a": 1}}', "answered", "malformed"),
        ('{"causes": "I cannot provide medical advice.", "follow-up": "Yearly."}', "refused", "answered"),
        ("I'm sorry, but I can't assist with that request.", "refused", "refused"),
        ("I\u2019m sorry, but I can\u2019t help.", "refused", "refused"),
        ('Sure!\n```json\n{"Causes": "Age", "follow_up": "Yearly"}\n```', "answered", "answered"),
        ('{"note": {"causes": "x"}} {"causes": "Age", "follow-up": "Yearly"}', "answered", "answered"),
    ],
)
def test_how_answers_end(text, first, second):
    read = TASK.parse(text, TWO)
    assert [section.status for section in read.sections.values()] == [first, second]


def test_of_two_answers_the_first_counts_and_what_was_done_is_told():
    read = TASK.parse('Well: {"causes": ["Age", "fat."], "CAUSES": "b", "x": 1, "follow-up": "c"}', TWO)
    assert read.sections["causes"].text == "Age. fat."
    assert len(read.repairs) == 4


def test_an_object_that_the_model_itself_left_open_is_malformed():
    cut, left = (TASK.parse('{"causes": "Age', TWO, finished) for finished in (False, True))
    assert cut.sections["causes"].text == "Age"
    assert cut.status == "cut"
    assert left.sections["causes"].text == ""
    assert left.status == "malformed"


def test_an_endless_answer_is_read_so_far_and_cut():
    read = TASK.parse('{"causes": "' + "on and " * 10_000, TWO)
    assert read.sections["causes"].status == "cut"
    assert len(read.sections["causes"].text) < 1 << 15


@pytest.mark.parametrize(
    "text",
    [
        "I cannot provide medical advice.",
        "Sorry, but I can't help with this.",
        "Unfortunately, I am unable to answer that.",
        "As an AI language model, I cannot diagnose.",
        "I'm not able to assist with medical questions.",
        "I apologize, but I can not answer this.",
    ],
)
def test_declining(text):
    assert declines(text)


@pytest.mark.parametrize(
    "text",
    [
        "The cause cannot be determined by endoscopy alone.",
        "Patients who cannot take aspirin need another drug.",
        "Sorry state of the mucosa.",
        "It is unable to heal.",
        "Refused by nobody.",
    ],
)
def test_answers_that_only_sound_like_it(text):
    assert not declines(text)


def test_every_paraphrase_says_the_same_in_other_words():
    finding = Finding("colon_polyps", 0.9149, ("erythema", 0.0512))
    asked = [TASK.prompt(name, finding, TWO, "a frame") for name in PROMPTS]
    assert len({prompt.text for prompt in asked}) == len(PROMPTS) >= 4
    for prompt in asked:
        assert finding.sentence() in prompt.text
        assert "a frame" in prompt.text
        assert "causes and follow-up" in prompt.text
        assert '{"causes": "...", "follow-up": "..."}' in prompt.text
        assert "{" not in prompt.text.replace('{"causes"', "")


def test_the_last_digits_of_a_confidence_change_no_prompt():
    a, b = (Finding("x", 0.91 + tiny, ("y", 0.05 + tiny)) for tiny in (0.0, 1e-7))
    assert TASK.prompt("brief", a).sha256 == TASK.prompt("brief", b).sha256


def test_places_in_a_label_are_left_alone():
    text = TASK.prompt("default", Finding("{form}"), ("{about}",)).text
    assert "The confirmed finding is: {form}." in text
    assert '{"{about}": "..."}' in text


def test_prompts_of_a_file(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("Say: {finding} {form}")
    assert TASK.prompt(str(path)).name == "mine"
    path.write_text("Say: {finding}")
    with pytest.raises(UsageError, match=r"no place \{form\}"):
        TASK.prompt(str(path))
    with pytest.raises(UsageError, match="neither a prompt of reason"):
        TASK.prompt("nothing")


def test_sections_of_an_answer_by_default():
    assert SECTIONS == ("causes", "symptoms", "treatment", "lifestyle", "follow-up")
    assert TASK.new_tokens(SECTIONS) > TASK.new_tokens(TWO)


def test_templates_without_an_image():
    only_lists = "{% for m in messages %}{{ m.content[0].text }}|{% endfor %}"
    with pytest.raises(ModelError, match="loses the prompt"):
        text_conversation("{{ bos_token }}")
    assert text_conversation(only_lists) == ("", "|")
