"""``zoo-card site``: a static site over finished runs."""

from __future__ import annotations

from pathlib import Path

import click

from ..cli import PATH, Many, mixed_option, runs_option


@click.command(cls=Many)
@runs_option
@click.option("--out", "-o", type=PATH, required=True, help="Folder of the site; an earlier one is replaced.")
@click.option(
    "--data",
    "-d",
    multiple=True,
    help="Folder of patients or images, .csv or 'phantom:n=8', to make pictures of; may be repeated.",
)
@click.option(
    "--masks",
    type=PATH,
    multiple=True,
    help="Folder of predicted masks (zoo-eval --save-masks).  [default: RUN/masks]",
)
@click.option(
    "--curve",
    type=PATH,
    multiple=True,
    metavar="[MODEL=]FILE",
    help="curve.csv of a training, drawn on the model's page.",
)
@click.option(
    "--pictures",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    help="At most so many cases of a dataset get pictures: half of them the worst.",
)
@mixed_option
@click.option("--quiet", "-q", is_flag=True, help="Only the last line.")
def command(
    runs: tuple[str, ...],
    out: Path,
    data: tuple[str, ...],
    masks: tuple[Path, ...],
    curve: tuple[Path, ...],
    pictures: int,
    mixed: bool,
    quiet: bool,
) -> None:
    """Build a static site that opens from the disk: a leaderboard, a page per model and per case.

    Without --data it holds numbers only. It shows pictures of exactly the data given: give phantoms, or data
    that you may publish.
    """
    from ..runs import read_runs
    from .build import build_site

    def told(line: str) -> None:
        if not quiet:
            click.echo(line, err=True)

    built = build_site(
        read_runs(runs),
        out,
        data=data,
        masks=masks,
        curves=[str(path) for path in curve],
        mixed=mixed,
        pictured=pictures,
        told=told,
    )
    for note in built.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(
        f"Saved: {built.folder / 'index.html'} ({built.models} models, {built.cases} cases, "
        f"{built.pictured} with pictures; {built.files} files, {built.bytes / 2**20:.1f} MB)"
    )
