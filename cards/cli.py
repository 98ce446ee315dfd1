"""``zoo-card``: cards, figures and leaderboards from finished runs.

Exit codes: 0 done; 1 a card that is not valid, or a Hub that refused; 2 wrong use, or runs that cannot be
read or compared; 130 interrupted. Only click is imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..zoo.errors import ModelError, ModelNotFoundError, VoxzooError
from ..zoo.program import run_program

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .runs import Run

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
KINDS = (
    "box",
    "pareto",
    "reliability",
    "confusion",
    "risk-coverage",
    "curve",
    "gldr",
    "stability",
    "judge-agreement",
)
PATH = click.Path(path_type=Path)
LATER = {"site": ".site.command"}
"""Commands that live in a module of their own, loaded when they are asked for."""
runs_option = click.option(
    "--runs",
    multiple=True,
    metavar="[NAME=]RUN",
    help="Run folder, results file, or folder of such; may be repeated, and several may follow one --runs.",
)
mixed_option = click.option(
    "--mixed", is_flag=True, help="Compare runs of different data or definitions, too."
)


class Many(click.Command):
    """A command whose ``--runs`` takes all words up to the next option: ``--runs A B C --out D``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before every word that follows it."""
        out: list[str] = []
        option = ""
        for word in args:
            if word.startswith("-") and word != "-":
                option = word if word in ("--runs", "--robustness") else ""
                out += [] if option else [word]
            else:
                out += [option, word] if option else [word]
        return super().parse_args(ctx, out)


class Group(click.Group):
    """A group that finds the commands of ``LATER`` only when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return sorted([*super().list_commands(ctx), *LATER])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command, loaded if need be."""
        if cmd_name not in LATER:
            return super().get_command(ctx, cmd_name)
        return import_module(LATER[cmd_name], __package__).command


@click.group(cls=Group, context_settings=HELP)
@click.version_option(package_name="voxzoo")
def command() -> None:
    """Publish what runs of zoo-eval measured: model cards, figures, tables, a site.

    A card holds only what is in the model's contract, in results files, and in a small YAML file beside the
    weights (cnn3d-seg.card.yaml); what is in none of them is printed as "not stated".
    """


@command.command(cls=Many)
@click.option(
    "--model", "-m", required=True, help="Model file, zoo name, or the name of a model in the runs."
)
@runs_option
@click.option("--robustness", multiple=True, metavar="[NAME=]RUN", help="Runs of the model on changed data.")
@click.option(
    "--bench",
    type=PATH,
    help="Folder of zoo-bench that the model took part in.  [default: bench.json among the runs, if there]",
)
@click.option("--stated", type=PATH, help="YAML of statements.  [default: NAME.card.yaml beside the file]")
@click.option("--curve", type=PATH, help="curve.csv of the training, drawn on the card.")
@click.option(
    "--figures/--no-figures", default=False, help="Draw figures beside the card.", show_default=True
)
@click.option("--out", "-o", type=PATH, required=True, help="Folder for README.md and .eval_results/.")
def build(
    model: str,
    runs: tuple[str, ...],
    robustness: tuple[str, ...],
    bench: Path | None,
    stated: Path | None,
    curve: Path | None,
    figures: bool,
    out: Path,
) -> None:
    """Write the Hugging Face card of MODEL from its runs."""
    from .bench import bench_among, read_bench
    from .build import build as build_card
    from .subject import find_subject

    read = _read(runs)
    subject = find_subject(model, read, stated)
    drawn = _figures(read if figures else [], curve, out) if figures or curve else {}
    bench = bench or bench_among(runs)
    measured = read_bench(bench) if bench else None
    card = build_card(subject, _read(robustness), drawn, measured)
    for path in card.save(out):
        click.echo(f"Saved: {path}")
    if card.missing:
        click.echo(f"Not stated: {', '.join(card.missing)}", err=True)


@command.command()
@click.argument("card", type=PATH)
@click.option("--strict", is_flag=True, help="Exit with 1 if anything is missing.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def check(card: Path, strict: bool, as_json: bool) -> int:
    """Validate CARD (a file, or a folder with README.md; anyone's) and list what it does not say."""
    from .check import check as check_card

    report = check_card(card)
    if as_json:
        import json
        from dataclasses import asdict

        click.echo(json.dumps(asdict(report), indent=1))
    else:
        click.echo("\n".join(report.lines()))
    return 1 if report.errors or (strict and report.missing) else 0


@command.command()
@click.option("--card", type=PATH, required=True, help="Folder of zoo-card build.")
@click.option("--repo", required=True, metavar="OWNER/NAME", help="Of the Hub; made if it is not there.")
@click.option("--model", "-m", help="File or zoo name to upload with it.  [default: the card alone]")
@click.option("--endpoint", help="Of the Hub.  [default: HF_ENDPOINT, else huggingface.co]")
@click.option("--private", is_flag=True, help="If the repository is made now.")
@click.option("--revision", help="Branch.  [default: main]")
@click.option("--message", default="Model card", show_default=True, help="Of the commit.")
@click.option("--dry-run", is_flag=True, help="List every file that would go; send nothing.")
def push(
    card: Path,
    repo: str,
    model: str | None,
    endpoint: str | None,
    private: bool,
    revision: str | None,
    message: str,
    dry_run: bool,
) -> None:
    """Upload a card, and the model it is about, to the Hugging Face Hub in one commit."""
    from .push import plan
    from .push import push as upload

    what = plan(card, repo, model, endpoint)
    click.echo("\n".join([*(["nothing is sent:"] if dry_run else []), *what.lines()]))
    if not dry_run:
        click.echo(f"Done: {upload(what, message, private, revision)}")


@command.command(cls=Many)
@click.argument("kind", type=click.Choice(KINDS))
@runs_option
@click.option(
    "--metric", multiple=True, help="Figure to draw; may be repeated.  [default: those of the task]"
)
@click.option("--curve", type=PATH, multiple=True, help="curve.csv of a training, for the kind curve.")
@click.option("--theme", type=click.Choice(["light", "dark", "inline"]), default="light", show_default=True)
@mixed_option
@click.option("--out", "-o", type=PATH, required=True, help="FILE.svg or FILE.png.")
def plot(
    kind: str,
    runs: tuple[str, ...],
    metric: tuple[str, ...],
    curve: tuple[Path, ...],
    theme: str,
    mixed: bool,
    out: Path,
) -> None:
    """Draw a figure of runs: KIND as SVG or PNG, by the ending of --out."""
    from .plots import draw, save

    drawn = draw(kind, _read(runs), metrics=metric, curves=curve, theme=theme, mixed=mixed)
    save(drawn, out, theme)
    click.echo(f"Saved: {out}")


@command.command(cls=Many)
@runs_option
@mixed_option
@click.option("--published", is_flag=True, help="Also the study's own rows, marked as not rerun here.")
@click.option("--into", type=PATH, help="Put it between the marks of this file.  [default: print it]")
@click.option(
    "--check", "only_check", is_flag=True, help="Change nothing; exit with 1 if --into is out of date."
)
def table(runs: tuple[str, ...], mixed: bool, published: bool, into: Path | None, only_check: bool) -> int:
    """Leaderboards of runs as Markdown tables."""
    from .board_table import boards_text, is_between, put_between
    from .runs import boards, read_runs

    text = boards_text(boards(read_runs(runs), mixed), published)
    if into is None:
        click.echo(text)
        return 0
    if only_check:
        current = is_between(into, text)
        click.echo(f"{into}: {'up to date' if current else 'out of date'}")
        return 0 if current else 1
    click.echo(f"{into}: {'changed' if put_between(into, text) else 'up to date'}")
    return 0


@command.command(cls=Many)
@runs_option
@click.option("--bench", type=PATH, help="Folder of zoo-bench: kept as bench.json.")
@click.option("--out", "-o", type=PATH, required=True, help="Folder for one small results file per run.")
def keep(runs: tuple[str, ...], bench: Path | None, out: Path) -> None:
    """Keep the numbers of finished runs in small results files that can be committed."""
    from .bench import keep_bench, read_bench
    from .keep import keep as keep_run
    from .runs import read_runs

    for run in read_runs(runs) if runs or not bench else ():
        click.echo(f"Saved: {keep_run(run, out)}")
    if bench:
        click.echo(f"Saved: {keep_bench(read_bench(bench), out)}")


def _read(given: tuple[str, ...]) -> list[Run]:
    """Runs, none if none were given."""
    from .runs import read_runs

    return read_runs(given) if given else []


def _figures(runs: list[Run], curve: Path | None, out: Path) -> Mapping[str, str]:
    from .plots.of_card import draw_for_card

    return draw_for_card(runs, curve, out)


def _code(error: VoxzooError) -> int:
    return 1 if isinstance(error, ModelError) and not isinstance(error, ModelNotFoundError) else 2


def main() -> None:
    """Entry point of ``zoo-card``."""
    run_program(command, "zoo-card", "interrupted", _code)


if __name__ == "__main__":
    main()
