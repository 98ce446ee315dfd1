"""``zoo-eval compare``: finished runs beside each other, and the comparison table of the study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click


@click.command("compare", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("runs", nargs=-1, metavar="[NAME=]RUN...")
@click.option(
    "--study", is_flag=True, help="The table of arXiv 2509.10683: published, reproduced, corrected."
)
@click.option(
    "--cnn", type=click.Path(path_type=Path), help="classification_confusions.json; implies --study."
)
@click.option("--protocol", default="all", show_default=True, help="Of corrected figures and of pairs.")
@click.option("--metric", help="By which figure pairs are compared.  [default: each task's own]")
@click.option("--trivial", is_flag=True, help="Each language model beside trivial answers, too.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of permutations and bootstrap.")
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Markdown file, instead of the screen.")
def compare_command(
    runs: Sequence[str],
    study: bool,
    cnn: Path | None,
    protocol: str,
    metric: str | None,
    trivial: bool,
    seed: int,
    out: Path | None,
) -> int:
    """Compare finished RUNs (run folders or results files), pair by pair on the same patients.

    A CNN's run stands beside those of language models. With --study, runs find their rows by their model
    ("general", "...tuned..."), plane and slices; ROW=RUN puts one there by hand.
    """
    from ..zoo.errors import UsageError, VoxzooError

    try:
        if not runs and cnn is None and not study:
            raise UsageError("nothing to compare: give run folders or results files, or --study")
        text = _compared(runs, study or cnn is not None, cnn, protocol, metric, trivial, seed)
        _write(text, out)
    except VoxzooError as error:
        click.echo(f"zoo-eval: error: {' '.join(str(error).split())}", err=True)
        return 2
    return 0


def _compared(
    given: Sequence[str],
    study: bool,
    cnn: Path | None,
    protocol: str,
    metric: str | None,
    trivial: bool,
    seed: int,
) -> str:
    from ..zoo.errors import UsageError
    from .language.study import study_text
    from .pairs import pairs_of, read_runs
    from .views.pairs import pairs_text

    known = ("answered", "all") if study else ("paper", "answered", "all")
    if protocol not in known:
        raise UsageError(f"--protocol: got {protocol!r}, expected one of {', '.join(known)}")
    runs = read_runs(given)
    table = [study_text(runs, cnn, protocol)] if study else []
    pairs = pairs_of(runs, protocol, metric, trivial, seed) if runs else []
    return "\n".join([*table, pairs_text(pairs, runs, protocol)] if runs else table)


def _write(text: str, out: Path | None) -> None:
    if out is None:
        click.echo(text, nl=False)
        return
    from . import files

    if not out.parent.is_dir():
        out.parent.mkdir(parents=True)
    files.atomic_write(out, text.encode())
    click.echo(f"Saved: {out}")
