"""Runs of ``reason``: figures by hand, resume, models that misbehave, several models, the command line."""

import json
from types import SimpleNamespace

import pytest

import voxzoo
from voxzoo.cards.plots.reasoning import agreements
from voxzoo.cards.runs import read_run
from voxzoo.eval.cli import command
from voxzoo.eval.reasoning.command import evaluate_reasoning
from voxzoo.eval.reasoning.models_file import read_models
from voxzoo.eval.reasoning.scoring import lexical
from voxzoo.eval.results import Results
from voxzoo.zoo.answerer import Reply
from voxzoo.zoo.errors import MissingDependencyError, ModelError, RunError, UsageError

SECTIONS = {"gout": "causes", "flu": "causes"}
LINES = [
    {"id": "g1", "condition": "gout", "section": "causes", "key_points": ["high urate", "diuretics"]},
    {"id": "g2", "condition": "gout", "section": "treatment", "key_points": ["colchicine"]},
    {"id": "f1", "condition": "flu", "section": "causes", "key_points": ["influenza virus"]},
]


@pytest.fixture
def gold(tmp_path):
    path = tmp_path / "small.jsonl"
    lines = [json.dumps({**line, "source": "a test", "verified_by": "a test"}) for line in LINES]
    path.write_text("\n".join(lines))
    return path


class Told:
    """Knows what it is told: the gold of the condition that stands in the prompt, else nothing."""

    name, content_hash = "told", "t" * 64

    def __init__(self, fail_after=10**9):
        self.asked, self.fail_after = [], fail_after

    def answer(self, question):
        if len(self.asked) >= self.fail_after:
            raise KeyboardInterrupt
        self.asked.append(question)
        knows = next((name for name in ("gout", "flu") if f" {name}" in question.prompt), "")
        text = {"gout": "High urate. Colchicine.", "flu": "The influenza virus.", "": "Hard to say."}[knows]
        return json.dumps(dict.fromkeys(question.schema["properties"], text))


def model(answer, name="scripted"):
    return SimpleNamespace(name=name, content_hash="5" * 64, answer=answer)


def plain(results):
    """What has to be the same after a run that was cut off."""
    out = results.to_dict()
    for name in ("session", "environment", "energy", "usage", "seconds_per_answer"):
        out.pop(name, None)
    return out


def test_figures_by_hand(gold):
    found = evaluate_reasoning(Told(), gold, repeats=2).results
    figures = {name: one.mean for name, one in found.aggregate.items()}
    # g1: one of two key points; g2 and f1: all. Nothing without a finding.
    assert figures["recall_true"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert figures["recall_true_causes"] == pytest.approx(0.75)
    assert figures["recall_true_treatment"] == 1
    assert figures["recall_without"] == 0
    assert figures["recall_true_minus_without"] == pytest.approx(2.5 / 3)
    assert [found.aggregate[name].n for name in ("recall_true", "recall_true_causes")] == [3, 2]
    assert found.aggregate["recall_true"].missing == found.aggregate["recall_without"].empty == 0
    assert found.scores.counts["patients"] == 2
    assert found.scores.details["statuses"]["true"]["all"] == {"answered": 6}
    assert [record.metrics["recall_true"] for record in found.cases] == [0.5, 1.0, 1.0]


def test_what_is_asked(gold):
    asker = Told()
    evaluate_reasoning(asker, gold, prompt="default,brief", repeats=2, arms="true")
    assert len(asker.asked) == 2 * 2 * 2  # conditions, prompts, repeats
    question = asker.asked[0]
    assert question.image is None
    assert question.task == "reason"
    assert question.grammar.startswith('root ::= "{\\"causes\\": " text ", \\"treatment\\": " text "}"')
    assert "The confirmed finding is: gout." in question.prompt


@pytest.mark.parametrize("stop", [0, 1, 3, 7])
def test_a_run_that_was_cut_off_ends_the_same(gold, tmp_path, stop):
    options = {"repeats": 2, "prompt": "default,brief"}
    whole = evaluate_reasoning(Told(), gold, tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        evaluate_reasoning(Told(stop), gold, tmp_path / "cut", **options)
    replies = tmp_path / "cut" / "replies.jsonl"
    replies.write_bytes(replies.read_bytes() + b'{"topic": "gout", "ar')  # torn in the middle of a line
    second = Told()
    again = evaluate_reasoning(second, gold, tmp_path / "cut", **options)
    assert len(second.asked) == 16 - stop
    assert plain(again.results) == plain(whole.results)
    for name in ("answers.jsonl", "cases.csv"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_run_may_grow_but_is_not_mixed_with_another(gold, tmp_path):
    out = tmp_path / "run"
    evaluate_reasoning(Told(), gold, out)
    second = Told()
    evaluate_reasoning(second, gold, out, repeats=3)
    assert len(second.asked) == 2 * 2 * 2
    other = Told()
    other.content_hash = "u" * 64
    with pytest.raises(RunError, match="holds another run"):
        evaluate_reasoning(other, gold, out)
    with pytest.raises(RunError, match="holds another run"):
        evaluate_reasoning(Told(), gold, out, new_tokens=7)
    evaluate_reasoning(other, gold, out, overwrite=True)
    gold.write_text(gold.read_text().replace("diuretics", "thiazides"))
    with pytest.raises(RunError, match="benchmark"):
        evaluate_reasoning(other, gold, out)


def test_another_wording_under_a_known_name_is_not_taken_for_it(gold, tmp_path):
    wording = tmp_path / "mine.txt"
    wording.write_text("{finding} {form}")
    evaluate_reasoning(Told(), gold, tmp_path / "run", prompt=str(wording))
    wording.write_text("Now: {finding} {form}")
    with pytest.raises(RunError, match="another prompt"):
        evaluate_reasoning(Told(), gold, tmp_path / "run", prompt=str(wording))


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("", "empty"),
        ("Gout comes from high urate; take colchicine.", "malformed"),
        ("I'm sorry, but I cannot help with that.", "refused"),
        (Reply('{"causes": "' + "of " * 9, tokens_out=256), "cut"),
        ('{"causes": "' + "again and " * 200_000, "cut"),
    ],
)
def test_models_that_do_not_answer_as_asked(gold, answer, status):
    found = evaluate_reasoning(model(lambda question: answer), gold).results
    assert found.aggregate["recall_true"].mean == 0
    counts = found.scores.details["statuses"]["true"]["all"]
    assert counts == {status: 3}
    assert found.aggregate["recall_true"].n == 3
    assert found.scores.details["problems"] == []


def test_a_cut_section_is_scored_by_what_is_there(gold):
    reply = Reply('{"causes": "High urate, diur', tokens_out=256)
    found = evaluate_reasoning(model(lambda question: reply), gold, arms="true").results
    assert found.cases[0].metrics["recall_true"] == 0.5
    assert found.scores.details["statuses"]["true"]["treatment"] == {"cut": 1}


def test_a_model_that_fails_on_some_questions_counts_0_there(gold, tmp_path):
    class Failing(Told):
        def answer(self, question):
            if question.repeat == 1:
                raise ModelError("out of order")
            return super().answer(question)

    found = evaluate_reasoning(Failing(), gold, tmp_path / "run", repeats=2, arms="true").results
    assert found.aggregate["recall_true"].mean == pytest.approx(2.5 / 3 / 2)
    assert found.scores.details["statuses"]["true"]["all"] == {"answered": 3, "no reply": 3}
    assert len(found.scores.details["problems"]) == 2
    assert "out of order" in found.scores.details["problems"][0]
    again = evaluate_reasoning(Told(), gold, tmp_path / "run", repeats=2, arms="true").results
    assert again.aggregate["recall_true"].mean == pytest.approx(2.5 / 3)  # what failed was asked again


def test_a_model_that_always_fails_is_failed_not_absent(gold):
    def fail(question):
        raise ModelError("never")

    found = evaluate_reasoning(model(fail), gold).results
    assert len(found.failures) == 3
    one = found.aggregate["recall_true"]
    assert (one.mean, one.n, one.missing) == (0.0, 3, 3)
    odd = evaluate_reasoning(model(lambda question: None), gold).results
    assert "expected a text" in odd.scores.details["problems"][0]


def test_recorded_answers_score_the_same(gold, tmp_path):
    live = evaluate_reasoning(Told(), gold, tmp_path / "live", repeats=2).results
    spec = f"replay:{tmp_path / 'live' / 'replies.jsonl'}"
    replayed = evaluate_reasoning(spec, gold, repeats=2).results
    assert replayed.aggregate == live.aggregate
    assert replayed.scores.model["name"] == "told"
    short = evaluate_reasoning(spec, gold, repeats=3).results
    assert short.scores.details["statuses"]["true"]["all"]["no reply"] == 3


def test_recorded_answers_of_anyone(gold, tmp_path):
    path = tmp_path / "theirs.jsonl"
    line = {"topic": "flu", "arm": "true", "image": "", "prompt": "default", "repeat": 0}
    path.write_text(json.dumps({**line, "raw": '{"causes": "An influenza virus."}'}) + "\n")
    found = evaluate_reasoning(f"replay:{path}", gold, arms="true").results
    assert [record.status for record in found.cases] == ["failed", "failed", "scored"]
    assert found.aggregate["recall_true"].mean == pytest.approx(1 / 3)
    for text, told in (("{}", "no answer: texts"), ("", "no answer in it")):
        path.write_text(text)
        with pytest.raises(UsageError, match=told):
            evaluate_reasoning(f"replay:{path}", gold)


def test_what_results_hold_is_what_cards_show(gold, tmp_path):
    evaluate_reasoning(Told(), gold, tmp_path / "run")
    found = Results.load(tmp_path / "run")
    assert found.task == "reason"
    assert found.dataset["sha256"]
    assert found.scores.details["gold"]["g1"]["key_points"] == ["high urate", "diuretics"]
    lines = [json.loads(line) for line in (tmp_path / "run" / "answers.jsonl").read_text().splitlines()]
    assert len(lines) == 6
    assert {"item", "arm", "asked", "raw", "text", "gold", "hits", "status", "metrics"} <= set(lines[0])
    assert lines[-1]["hits"] == [True]


SCRIPT = """import json
class Model:
    name, content_hash = {name!r}, {name!r}
    def answer(self, question):
        return {answer}
MODEL = Model()
"""
KNOWS = 'json.dumps(dict.fromkeys(question.schema["properties"], "High urate, diuretics, colchicine."))'


def script(path, name, answer):
    path.write_text(SCRIPT.format(name=name, answer=answer))
    return f"script:{path}"


def zoo_eval(*arguments):
    return command.main(["--task", "reason", *map(str, arguments)], standalone_mode=False)


def test_several_models_one_of_which_cannot_be_opened(gold, tmp_path, capsys):
    good = script(tmp_path / "good.py", "good", KNOWS)
    mute = script(tmp_path / "mute.py", "mute", '""')
    listed = tmp_path / "models.yaml"
    listed.write_text(f"- {good}\n- {{model: '{mute}', name: quiet}}\n- model: nowhere.gguf\n")
    out = tmp_path / "out"
    code = zoo_eval("--benchmark", gold, "--models", listed, "-o", out, "-q", "--prompt", "all")
    assert code == 1
    told = capsys.readouterr().out
    assert "nowhere.gguf: neither a file nor a name" in told
    assert "Kendall's tau 1.000" in told
    record = json.loads((out / "comparison.json").read_text())
    assert [one["status"] for one in record["models"]] == ["done", "done", "failed"]
    arm = record["arms"]["true"]
    assert [one["name"] for one in arm["ranking"]] == ["good", "quiet"]
    assert arm["pairs"][0]["difference"] == pytest.approx((1 + 0) / 2)  # of gout all, of flu nothing
    assert arm["ranks"]["tau"]["value"] == 1
    assert Results.load(out / "quiet").aggregate["recall_true"].empty == 3
    before = (out / "comparison.json").read_bytes()
    assert zoo_eval("--benchmark", gold, "--models", listed, "-o", out, "-q", "--prompt", "all") == 1
    assert (out / "comparison.json").read_bytes() == before


def test_a_judge_of_two_models(gold, tmp_path):
    good = script(tmp_path / "good.py", "good", KNOWS)
    mute = script(tmp_path / "mute.py", "mute", '""')
    judge = model(lambda question: "A", "always A")
    found = evaluate_reasoning([good, mute], gold, tmp_path / "out", judge=judge)
    (verdicts,) = found.record["judge"]
    assert verdicts["pairs"] == 3
    assert verdicts["wins"] == {"first": 0, "second": 0, "tie": 3}
    assert verdicts["agreement"]["value"] == 0
    for name in ("good", "mute"):  # where cards and site look for it
        assert Results.load(tmp_path / "out" / name).scores.details["judge"] == [verdicts]
    assert "always A: good, mute (true)" in agreements(read_run(tmp_path / "out" / "good"))


def test_two_models_of_one_name_stay_apart(gold, tmp_path):
    specs = [script(tmp_path / f"{n}.py", "same", KNOWS) for n in "ab"]
    found = evaluate_reasoning(specs, gold, tmp_path / "out")
    assert [one.name for one in found.models] == ["same", "same (2)"]
    assert all((tmp_path / "out" / name / "results.json").is_file() for name in ("same", "same-2"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "expected a list of models"),
        ("models: 3", "expected a list of models"),
        ("- {name: a}", "model is None"),
        ("- {model: a, nme: b}", "unknown 'nme'"),
        ("- {model: a, options: {flips: lr}}", "unknown option 'flips'"),
        ("- {model: a, options: [1]}", "options is"),
        ("- a\n- a", "two models are called 'a'"),
        ("- {model: [", "not YAML"),
        ("- !!python/object/apply:os.getcwd []", "not YAML"),
    ],
)
def test_lists_of_models_that_are_wrong(tmp_path, text, told):
    path = tmp_path / "models.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=told):
        read_models(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_models(tmp_path / "no.yaml")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--benchmark", "example"], "Missing option '--model'"),
        (["-m", "script:{good}"], "--benchmark: say which FILE"),
        (["-m", "script:{good}", "--benchmark", "no.jsonl"], "cannot be read"),
        (["-m", "script:{good}", "-m", "script:{good}", "--benchmark", "example"], "is there twice"),
        (["-m", "cnn3d-seg", "--benchmark", "example"], "is no language model"),
        (["-m", "script:{good}", "--benchmark", "example", "--arms", "some"], "--arms: got 'some'"),
        (["-m", "script:{good}", "--benchmark", "example", "--arms", "predicted"], "no image to classify"),
        (["-m", "script:{good}", "--benchmark", "example", "--data", "phantom"], "name it with --classifier"),
        (["-m", "script:{good}", "--benchmark", "example", "--prompt", "poem"], "neither a prompt"),
        (["-m", "script:{good}", "--benchmark", "example", "--prompt", "brief,brief"], "different names"),
        (["-m", "script:{good}", "--benchmark", "example", "--scorers", "bleu"], "--scorers: got 'bleu'"),
        (["-m", "x.gguf", "--benchmark", "example", "--concurrency", "2"], "that is for endpoints"),
        (["-m", "script:{good}", "--benchmark", "example", "--labels", "a=b"], "give --classifier, too"),
        (["-m", "script:{good}", "--benchmark", "example", "--images", "0"], "images: got 0"),
        (["-m", "script:{good}", "--benchmark", "example", "--repeats", "0"], "repeats: got 0"),
        (["-m", "script:{good}", "--benchmark", "example", "--plane", "axial"], "plane: is about"),
        (["-m", "script:{good}", "--benchmark", "example", "--preset", "medpy"], "preset: is about"),
        (["-m", "script:{good}", "--benchmark", "example", "--judge", "x.gguf"], "two models"),
        (["-m", "script:{good}", "--benchmark", "example", "--classifier", "cnn3d-cls"], "2-D images"),
    ],
)
def test_wrong_use_is_one_line(tmp_path, monkeypatch, capsys, arguments, told):
    from voxzoo.eval.cli import main

    script(tmp_path / "good.py", "good", KNOWS)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(["--task", "reason", *(word.format(good=tmp_path / "good.py") for word in arguments)])
    assert caught.value.code == 2
    line = capsys.readouterr().err
    assert told in line
    assert line.count("\n") == 1


def test_what_cannot_be_scored_is_not_asked(gold, monkeypatch):
    asker = Told()
    with monkeypatch.context() as patched:
        patched.setattr(lexical, "is_installed", lambda name: False)
        with pytest.raises(MissingDependencyError, match="pip install"):
            evaluate_reasoning(asker, gold)
        assert not asker.asked
        evaluate_reasoning(asker, gold, scorers="none", repeats=2)
    asker.asked.clear()
    gold.write_text(gold.read_text().replace('"id"', '"language": "xx", "id"'))
    with pytest.raises(UsageError, match="xx"):
        evaluate_reasoning(asker, gold)
    assert asker.asked == []


def test_several_models_are_for_this_task_only(capsys):
    code = command.main(["-m", "cnn3d-seg", "-m", "cnn3d-cls"], standalone_mode=False)
    assert code == 2
    assert "zoo-eval compare" in capsys.readouterr().err
    assert command.main(["-m", "cnn3d-seg", "--benchmark", "example"], standalone_mode=False) == 2
    assert "--benchmark: is about the task reason" in capsys.readouterr().err


def test_evaluate_says_where_reasoning_is():
    with pytest.raises(UsageError, match="evaluate_reasoning"):
        voxzoo.evaluate(Told(), task="reason")


def test_the_table_of_one_model(gold, tmp_path, capsys):
    good = script(tmp_path / "good.py", "good", KNOWS)
    assert zoo_eval("-m", good, "--benchmark", gold, "-o", tmp_path / "run", "-q") == 0
    told = capsys.readouterr().out
    for words in ("3/0/0", "Gain of recall, true minus without", "answered", "Stability: not known"):
        assert words in told
    assert (
        command.main(["compare", str(tmp_path / "run"), f"b={tmp_path / 'run'}"], standalone_mode=False) == 0
    )
    assert "recall_true" in capsys.readouterr().out
