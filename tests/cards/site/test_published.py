"""The study's published rows beside what its recorded answers give again, on a site and in a table."""

import html
import re

import pytest

from voxzoo.cards.board_table import boards_text
from voxzoo.cards.runs import boards, read_runs
from voxzoo.cards.site import build_site
from voxzoo.eval.language.published import ROWS, SOURCE
from voxzoo.eval.runner import evaluate

RECORDED = {"box": "bbox_general", "grade": "cls_general_axial"}
PUBLISHED = {"box": "general", "grade": "general-axial"}


@pytest.fixture
def replayed(data_root, tmp_path):
    """Folder with a run per task."""
    study, out = data_root / "thesis_transcripts", tmp_path / "runs"
    for task, name in RECORDED.items():
        evaluate(f"replay:{study / 'part_A' / name}.jsonl", str(study), out / task, task=task)
    return out


def cells(row):
    return [
        html.unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in re.findall(r"<t[dh].*?</t[dh]>", row)
    ]


@pytest.mark.data
def test_published_rows_stand_beside_what_was_scored_again(replayed, tmp_path):
    build_site(sorted(replayed.iterdir()), tmp_path / "site")
    front = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    for task in RECORDED:
        check_board(front, replayed, task)
    text = boards_text(boards(read_runs(sorted(replayed.iterdir()))), published=True)
    assert "| study: general (Table 8, published, not rerun here) | 0.122" in text


def check_board(front, replayed, task):
    row = next(row for row in ROWS if (row.task, row.name) == (task, PUBLISHED[task]))
    section = re.search(rf'<section class="board"[^>]*data-task="{task}".*?</section>', front, re.DOTALL)[0]
    (shown,) = re.findall(r'<tr class="published".*?</tr>', section, re.DOTALL)
    first, *rest = cells(shown)
    assert first == f"{row.model} (Table {row.table}; published, not rerun here)"
    both = [text for text in rest if re.fullmatch(r"[\d.]+ \(again [\d.]+\)", text)]
    assert both
    for text in both:  # the study's own rules on its recorded answers: to the last digit that it prints
        printed, again = re.fullmatch(r"([\d.]+) \(again ([\d.]+)\)", text).groups()
        assert printed == again
        assert printed in {f"{value:.4f}" for value in row.figures.values()}
    assert SOURCE in html.unescape(section)
    (own,) = read_runs([replayed / task])
    scored = [cells(r) for r in re.findall(r'<tr class=""[^>]*>.*?</tr>', section, re.DOTALL)]
    assert [line[0] for line in scored] == ["general"]
    assert scored[0][1].startswith(f"{own.figures[own.headline[0]].mean:.3f} [")
