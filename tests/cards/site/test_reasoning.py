"""Runs of the task reason on cards and on the site, whose answers, model and benchmark are hostile."""

import html
import json
import re

import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt

from voxzoo.cards.build import build
from voxzoo.cards.cli import command as card_command
from voxzoo.cards.keep import keep
from voxzoo.cards.runs import read_run
from voxzoo.cards.site import build_site
from voxzoo.cards.site.reasoning import answers_of, shown_answers
from voxzoo.cards.subject import find_subject
from voxzoo.eval.cli import command

EVIL = '</pre><script>document.title = "owned"</script><img src=x onerror="document.title = 1">'
ITEMS = [
    {
        "sections": ["causes", "follow-up"],
        "name": "b <i>1</i>",
        "licence": "CC0-1.0",
        "source": f"made {EVIL}",
    },
    {
        "id": "gout-1",
        "condition": "gout",
        "section": "causes",
        "key_points": ["high urate", f"kidneys {EVIL}", "a family history"],
        "forbidden": ["it is contagious"],
        "gold": f"Urate. {EVIL}",
        "source": "made",
        "verified_by": None,
    },
    {
        "id": "gout-2",
        "condition": "gout",
        "section": "follow-up",
        "key_points": ["measure urate again"],
        "forbidden": [],
        "source": "made",
        "verified_by": f"Dr {EVIL}",
    },
    {
        "id": "flu-1",
        "condition": "flu",
        "section": "causes",
        "key_points": ["a virus"],
        "forbidden": [],
        "source": "made",
        "verified_by": "Dr A",
    },
]
MODEL = """
import json
EVIL = {evil!r}
class Model:
    name, content_hash = {name!r}, {hash!r}
    def answer(self, question):
        if question.repeat and {fails}:
            return "no JSON " + EVIL
        causes = "High urate. There is no family history. It is contagious. " + EVIL
        return json.dumps({{"causes": causes, "follow-up": "Measure urate again."}})
MODEL = Model()
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Run folders of two models."""
    root = tmp_path_factory.mktemp("reason")
    (root / "b.jsonl").write_text("\n".join(map(json.dumps, ITEMS)) + "\n")
    for name, label, fails in (("evil", f"evil {EVIL}", True), ("calm", "calm", False)):
        text = MODEL.format(evil=EVIL, name=label, hash=("a" if fails else "b") * 64, fails=fails)
        (root / f"{name}.py").write_text(text)
        words = ["--task", "reason", "--benchmark", root / "b.jsonl", "--model", f"script:{root / name}.py"]
        words += ["--arms", "without,true", "--repeats", "2", "-q", "--out", root / "runs" / name]
        done = CliRunner().invoke(command, [str(word) for word in words], standalone_mode=False)
        assert done.exception is None, done.output
    return [root / "runs" / "evil", root / "runs" / "calm"]


@pytest.fixture(scope="module")
def site(folders, tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "site"
    build_site(folders, out)
    return out


def page_of(site, name):
    (path,) = site.glob(f"cases/*/{name}.html")
    return path


def text_of(path):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", path.read_text(encoding="utf-8"))).split())


def test_the_card_says_arms_sections_statuses_stability(folders):
    run = read_run(folders[0])
    text = build(find_subject(run.model, [run])).readme
    assert "gold: 2 of 3 items verified by an expert" in text
    for arm in ("nothing", "the true finding"):
        assert f"| recall, told {arm} ↑ |" in text
    for arm in ("without", "true"):
        assert f"{run.figures[f'recall_{arm}_causes'].mean:.3f}" in text
    assert "| recall: causes |" in text
    statuses = run.details["statuses"]["true"]["all"]
    assert statuses["malformed"] == 3
    assert f"| told the true finding: all sections | {statuses['answered']} | 0 | 0 | 0 | 3 | 0 |" in text
    flips = run.details["stability"]["all"]["flip_rate_within"]["value"]
    assert f"key points that flip between two answers: the same prompt again | {flips:.3f}" in text
    assert "J per answer [band]" in text
    assert "--task reason" in text
    assert "<script" not in MarkdownIt().render(text.split("\n---\n", 1)[1])


def test_kept_runs_give_the_same_card(folders, tmp_path):
    run = read_run(folders[1])
    kept = read_run(keep(run, tmp_path))
    assert build(find_subject("calm", [kept])) == build(find_subject("calm", [run]))
    words = ["table", "--runs", str(kept.source)]
    out = CliRunner().invoke(card_command, words, standalone_mode=False).output
    assert "ms per answer | J per answer" in out


def test_the_leaderboard_has_a_board_of_its_own(site):
    front = (site / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'data-task="(\w+)"', front) == ["reason"]
    assert 'name="task" value="reason"' in front
    assert "energy per answer" in front
    assert "on the conditions both were scored on" in front


def test_a_case_shows_question_answer_and_gold(site, folders):
    text = text_of(page_of(site, "gout-1"))
    assert "Gold high urate kidneys </pre><script>" in text
    assert "An answer must not say: it is contagious" in text
    assert "stated high urate" in text
    assert "denied a family history" in text
    assert "forbidden, stated it is contagious" in text
    assert "malformed" in text
    assert "no JSON </pre><script>" in text
    for line in (folders[0] / "answers.jsonl").read_text().splitlines()[:1]:
        assert json.loads(line)["asked"].split("\n")[0] in text
    model = text_of(next(site.glob("models/calm.html")))
    assert "told the true finding" in model
    assert "Stability of reasoning, by section" in model
    assert "How sections ended" in model


def test_lines_that_cannot_be_used_are_counted(folders, tmp_path):
    source = folders[1]
    lines = (source / "answers.jsonl").read_text().splitlines()
    first = {**json.loads(lines[0]), "hits": ["<b>", 1], "denied": None, "metrics": {"recall": EVIL}}
    (tmp_path / "results.json").write_bytes((source / "results.json").read_bytes())
    broken = [json.dumps(first), "{", "[]", json.dumps({"item": 3}), json.dumps({**first, "repeat": True})]
    (tmp_path / "answers.jsonl").write_text("\n".join(broken) + "\n")
    found = answers_of(read_run(tmp_path))
    assert found.notes == ["calm: 4 lines of its answers.jsonl cannot be used."]
    (shown,), total = shown_answers(found, first["item"])
    assert total == 1
    assert {point.state for point in shown.points} == {"not known"}
    assert shown.scores == ""
    (tmp_path / "answers.jsonl").unlink()
    assert "no answers.jsonl" in answers_of(read_run(tmp_path)).notes[0]


def test_in_a_browser_nothing_runs_and_nothing_leaves(site, new_page):
    page = new_page()
    for path in sorted(site.rglob("*.html")):
        for screen in ({}, {"width": 360, "height": 780, "phone": True}):
            page.open(path, **screen)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert page.evaluate("document.title").endswith("· voxzoo")
        assert page.evaluate("document.querySelectorAll('main script, main img[src=x]').length") == 0
    page.open(page_of(site, "gout-1"))
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert "owned" in page.evaluate("document.querySelector('.said').textContent")
    assert page.evaluate("document.querySelectorAll('.points .hit').length") > 0
    page.open(site / "index.html")
    page.evaluate("document.querySelector('[name=task][value=reason]').click()")
    assert page.evaluate("document.querySelector('.board').hidden")
    assert page.problems == []
    outside = [url for url in page.requests if not url.startswith(("file://", "data:", "about:", "blob:"))]
    assert outside == []
