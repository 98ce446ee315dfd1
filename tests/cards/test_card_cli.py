"""``zoo-card`` from the command line."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from voxzoo.cards import cli
from voxzoo.cards.board_table import BEGIN, END


def run(*words):
    """(exit code, output) as ``main`` gives them, in this process."""
    from unittest import mock

    with mock.patch.object(sys, "argv", ["zoo-card", *map(str, words)]):
        result = CliRunner().invoke(_Main(), [])
    return result.exit_code, result.output


class _Main:
    """What CliRunner needs of a command, around ``main``."""

    name = "zoo-card"

    def main(self, args=(), prog_name=None, **_):
        cli.main()


def test_help_needs_nothing_heavy():
    code = (
        "import sys; sys.argv = ['zoo-card', '--help']\n"
        "from voxzoo.cards.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('heavy:', sorted({'matplotlib', 'numpy', 'huggingface_hub', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "heavy: []" in done.stdout
    for word in ("build", "check", "push", "plot", "table", "keep", "site"):
        assert f"\n  {word} " in done.stdout


def test_build_then_check(made, tmp_path):
    folder = made.write(made.segment())
    code, output = run("build", "-m", "toy", "--runs", folder, "--out", tmp_path / "card", "--figures")
    assert code == 0
    assert "Not stated: intended_use, users" in output
    card = (tmp_path / "card" / "README.md").read_text()
    (figure,) = (tmp_path / "card").glob("*.svg")
    assert f"]({figure.name})" in card
    code, output = run("check", tmp_path / "card")
    assert (code, output.splitlines()[0].endswith("fields are there")) == (0, True)
    assert run("check", tmp_path / "card", "--strict")[0] == 1
    code, output = run("check", tmp_path / "card", "--json")
    assert (code, json.loads(output)["errors"]) == (0, [])
    (tmp_path / "card" / "README.md").write_text(card[:100])
    assert run("check", tmp_path / "card")[0] == 1


def test_runs_take_many_words(made, tmp_path):
    one, other = made.write(made.segment("a"), "a"), made.write(made.segment("b"), "b")
    code, output = run("table", "--runs", one, other)
    assert code == 0
    assert [line.split(" | ")[0] for line in output.splitlines()[4:6]] == ["| a", "| b"]
    assert run("table", "--runs", one, "--runs", other)[1] == output


def test_a_table_goes_between_its_marks(made, tmp_path):
    folder = made.write(made.segment())
    readme = tmp_path / "README.md"
    readme.write_text(f"above\n{BEGIN}\n{END}\nbelow\n")
    words = ("table", "--runs", folder, "--into", readme)
    assert run(*words, "--check") == (1, f"{readme}: out of date\n")
    assert run(*words) == (0, f"{readme}: changed\n")
    assert run(*words) == (0, f"{readme}: up to date\n")
    assert run(*words, "--check")[0] == 0
    text = readme.read_text()
    assert text.startswith("above\n")
    assert text.endswith("\nbelow\n")
    assert "| toy | 0.575 [0.200, 0.800] | 4.250 |" in text
    readme.write_text("no marks")
    code, output = run(*words)
    assert (code, readme.read_text()) == (2, "no marks")
    assert "expected the line" in output


def test_a_board_is_ranked_with_misses_and_what_was_not_measured(made):
    worse, best = made.segment("worse", (0.1, 0.1, 0.1, 0.1)), made.segment("best")
    best["energy"] = made.energy
    best["aggregate"]["dice"]["missing"] = 1
    best["baselines"] = {"baseline:none": made.segment("baseline:none", (0.0,) * 4)}
    output = run("table", "--runs", made.write(worse, "a"), made.write(best, "b"))[1]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in output.splitlines()[4:7]]
    assert [row[0] for row in rows] == ["best", "worse", "trivial: none"]
    assert rows[0][4:] == ["4", "1", "0", "250", "2.00 (estimated)"]
    assert rows[1][-1] == "not measured"


def test_published_rows_are_marked(made):
    plain = made.segment("some-model")
    plain |= {"task": "box", "options": {"protocol": "all", "seed": 0}}
    plain["aggregate"] = {"dice": made.aggregate(0.3), "hd95": made.aggregate(50.0)}
    _, output = run("table", "--published", "--runs", made.write(plain))
    assert "| study: CNN (masks) (Table 5, published, not rerun here) | 0.594 | 50.6 |" in output
    assert "study" not in run("table", "--runs", made.write(plain))[1]


def test_keep_then_build_from_what_was_kept(made, tmp_path):
    folder = made.write(made.segment())
    code, output = run("keep", "--runs", folder, "--out", tmp_path / "kept")
    assert (code, output) == (0, f"Saved: {tmp_path / 'kept' / 'segment-toys.json'}\n")
    for source, out in ((folder, "one"), (tmp_path / "kept", "two")):
        assert run("build", "-m", "toy", "--runs", source, "--out", tmp_path / out)[0] == 0
    assert (tmp_path / "one" / "README.md").read_bytes() == (tmp_path / "two" / "README.md").read_bytes()


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_plot(made, tmp_path, ending):
    out = tmp_path / f"f.{ending}"
    assert run("plot", "box", "--runs", made.write(made.segment()), "-o", out)[0] == 0
    assert out.read_bytes()[:5] in (b"<?xml", b"\x89PNG\r")


def test_a_dry_run_of_push(made, tmp_path):
    run("build", "-m", "toy", "--runs", made.write(made.segment()), "--out", tmp_path / "card")
    code, output = run("push", "--card", tmp_path / "card", "--repo", "me/x", "--dry-run")
    assert code == 0
    assert output.startswith("nothing is sent:\nto https://huggingface.co/me/x, one commit of 1 files")


def test_errors_are_one_line_with_a_code(made, tmp_path):
    cut = made.write(made.segment(), "cut")
    (cut / "results.json").write_text((cut / "results.json").read_text()[:99])
    mixed = made.segment("b")
    mixed["dataset"]["sha256"] = "ee" * 32
    pair = (made.write(made.segment("a"), "a"), made.write(mixed, "b"))
    for words, said in (
        (("table", "--runs", cut), "cut off, perhaps"),
        (("table", "--runs", *pair), "different data"),
        (("table",), "no runs"),
        (("table", "--runs", tmp_path / "nowhere"), "no such run"),
        (("plot", "pie", "--runs", cut, "-o", "x.svg"), "'pie' is not one of"),
        (("plot", "box", "--runs", *pair, "-o", tmp_path / "x.svg"), "--mixed"),
        (("build", "-m", "nobody", "--runs", pair[0], "--out", tmp_path), "neither a file nor a name"),
        (("check", tmp_path / "nowhere"), "cannot be read"),
        (("nothing",), "No such command"),
    ):
        code, output = run(*words)
        assert code == 2, words
        assert said in " ".join(output.split()), words
        assert "Traceback" not in output
    assert run("table", "--mixed", "--runs", *pair)[0] == 0
