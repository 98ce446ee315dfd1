"""``zoo-eval``: score a model on a dataset from the command line.

Exit codes: 0 done; 1 a case could not be read or run (it is named, the rest is scored); 2 wrong use;
130 interrupted. Only click is imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..zoo.errors import CaseError, UsageError, VoxzooError
from .compare_cli import compare_command
from .language.naming import is_language
from .reasoning.check import check_command
from .reasoning.judged.cli import judge_command

if TYPE_CHECKING:
    from .language.run import LanguageRun
    from .options import Options
    from .report import Reporter
    from .results import Results
    from .runner import Run

INTERRUPTED = 130
PIPE_WIDTH = 110
"""Columns of the table in a file or a pipe, which has no width of its own."""
REASON = "reason"
REASONING = (
    "benchmark", "classifier", "labels", "arms", "images", "seen", "new_tokens", "scorers", "judge",
)  # fmt: skip
"""Options of that task only."""
HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(
    context_settings=HELP,
    invoke_without_command=True,
    subcommand_metavar="[compare RUN... | judge | reason-check FILE]",
)
@click.option(
    "--model",
    "-m",
    "models",
    multiple=True,
    help="Model file, zoo name (zoo list), URL, replay:FILE, transformers:DIR, openai:URL; reason: several.",
)
@click.option("--data", "-d", help="Folder of patients or images, .csv or 'phantom'.  [default: phantom]")
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), help="Run folder.  [default: runs/MODEL-DATA-HASH]"
)
@click.option(
    "--task",
    default="auto",
    show_default=True,
    help="segment, classify, grade, center, box, polygon, reason or FILE.py; auto is the model's own.",
)
@click.option(
    "--runtime", default="auto", show_default=True, help="auto, onnxruntime, openvino or torchscript."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--precision", default="fp32", show_default=True, help="fp32, bf16, ...")
@click.option("--threads", type=int, help="Threads of the runtime.  [default: its own choice]")
@click.option("--flips", default="none", show_default=True, help="Mean over mirror images: none, lr or all.")
@click.option("--trust", is_flag=True, help="Run a TorchScript file not in the registry: it runs code.")
@click.option("--cross-validated", is_flag=True, help="Mean of folds: a case by the fold kept from it.")
@click.option("--contract", type=click.Path(path_type=Path), help="Contract for a model without one.")
@click.option("--workers", type=int, default=2, show_default=True, help="Threads that load and score.")
@click.option("--limit", type=int, help="Only the first so many cases.")
@click.option("--cases", help="Only these: ids with commas between, or a file with one id a line.")
@click.option("--save-masks", type=click.Path(path_type=Path), help="Folder for the predicted masks.")
@click.option("--preset", default="metrics-reloaded", show_default=True, help="Whose distances.")
@click.option(
    "--empty", default="penalty", show_default=True, help="penalty, nan, inf, raise, peer or a number of mm."
)
@click.option("--tolerance-mm", type=float, default=1.0, show_default=True, help="Of the NSD.")
@click.option("--protocol", default="all", show_default=True, help="Language models: paper, answered, all.")
@click.option("--parser", help="What counts as an answer: strict or lenient.")
@click.option("--vote", help="Slices to a patient's grade: author, two-class or abstain-wrong.")
@click.option("--no-slices", help="A patient without slices: drop, low or wrong.")
@click.option("--slices", help="Which recorded slices count: all, core20 or tumour.")
@click.option("--unanswered", help="A slice without an answer: skip or miss.")
@click.option("--pooling", help="Boxes and polygons: slice or volume.")
@click.option("--quirks", help="Of the study, with commas between; '' for none.")
@click.option(
    "--assumed",
    help="Grades from elsewhere for patients of whom nothing is recorded: 0=low,7=high. Named in the report.",
)
@click.option(
    "--prompt", default="auto", show_default=True, help="A name, all, or a text file; auto: the contract's."
)
@click.option("--repeats", type=int, default=1, show_default=True, help="How often the same is asked.")
@click.option("--plane", help="Shown slices: axial, coronal or sagittal.")
@click.option("--show", help="Shown slices: all, tumour or inner.")
@click.option("--modality", help="Shown image: flair, t1, t1ce or t2.")
@click.option("--temperature", type=float, default=0.0, show_default=True, help="0: the likeliest token.")
@click.option("--grammar", default="auto", show_default=True, help="auto: answers follow the task's; none.")
@click.option(
    "--concurrency", type=int, default=1, show_default=True, help="Questions at once: endpoints, GGUF files."
)
@click.option("--benchmark", help="reason: FILE of gold key points, or example.")
@click.option("--models", "models_file", type=click.Path(path_type=Path), help="reason: FILE.yaml of models.")
@click.option("--classifier", help="reason: model that finds on --data what the others are told.")
@click.option("--labels", help="reason: what the classifier's labels mean: LABEL=CONDITION,...")
@click.option("--arms", help="reason: what is told: without, predicted, true.  [default: all that can be]")
@click.option("--images", type=int, help="reason: images of --data for each condition.  [default: 1]")
@click.option("--seen", is_flag=True, default=None, help="reason: images of the classifier's training, too.")
@click.option("--new-tokens", type=int, help="reason: that an answer may take.  [default: by sections]")
@click.option("--scorers", help="reason: beside key points.  [default: rouge_l,chrf]")
@click.option("--judge", help="reason: a model that compares the answers of two others.")
@click.option("--price-in", type=float, help="Of a million tokens read, for the cost.")
@click.option("--price-out", type=float, help="Of a million tokens written.")
@click.option("--country", help="Whose electricity, for CO2: FRA, Germany, ...  [default: world average]")
@click.option("--grid", type=float, help="g of CO2 equivalent per kWh, instead of the table's.")
@click.option("--pue", type=float, default=1.0, show_default=True, help="What the site adds to each kWh.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of bootstrap and sampling.")
@click.option("--baseline/--no-baseline", default=True, help="Score a trivial baseline too.  [default: yes]")
@click.option("--parquet", is_flag=True, help="Write cases.parquet too.")
@click.option("--overwrite", is_flag=True, help="Replace what the run folder holds.")
@click.option("--json", "as_json", is_flag=True, help="Print the results file instead of the table.")
@click.option("--quiet", "-q", is_flag=True, help="Only the table.")
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.version_option(package_name="voxzoo")
@click.pass_context
def command(
    context: click.Context,
    models: tuple[str, ...],
    models_file: Path | None,
    data: str | None,
    out: Path | None,
    as_json: bool,
    quiet: bool,
    debug: bool,
    **options: Any,
) -> int:
    """Score MODEL on every case of DATA, by its task: masks or classes, every figure with its interval.

    The same command continues a run that was cut off, and repeats no case that is on file.
    zoo-eval compare --help: finished runs beside each other. --task reason asks language models about gold
    key points; zoo-eval reason-check FILE checks such a benchmark; zoo-eval judge measures judges of answers.
    """
    if context.invoked_subcommand is not None:
        return 0
    if not models and models_file is None:
        raise click.UsageError("Missing option '--model' / '-m'.", context)
    reasoning = {name: options.pop(name) for name in REASONING}
    try:
        if options["task"] == REASON:
            given = {**reasoning, "data": data}
            return _reason(models, models_file, given, out, as_json, quiet, options)
        model = _only(models, models_file, reasoning, options["task"])
        return _evaluate(model, data, out, as_json, quiet, options)
    except VoxzooError as error:
        if debug:
            raise
        seeing = bool(models) and is_language(models[0], options["task"])
        return _fail(error, 1 if seeing and isinstance(error, CaseError) else 2)


def _only(models: tuple[str, ...], models_file: Path | None, reasoning: dict[str, Any], task: str) -> str:
    """The model of a task that takes one, and nothing that is about ``reason``."""
    for name, value in {**reasoning, "models": models_file}.items():
        if value is not None:
            word = name.replace("_", "-")
            raise UsageError(f"--{word}: is about the task {REASON}; the task here is {task}")
    if len(models) > 1:
        raise UsageError(
            f"--model: got {len(models)}, the task {task} takes one; run each and set them beside each other "
            "with zoo-eval compare RUN RUN"
        )
    return models[0]


def _reason(
    models: tuple[str, ...],
    models_file: Path | None,
    asked: dict[str, Any],
    out: Path | None,
    as_json: bool,
    quiet: bool,
    options: dict[str, Any],
) -> int:
    from ..zoo.registry import ResearchOnlyWarning
    from .reasoning.command import reason

    checked, reporter = _options(options), _reporter(quiet or as_json)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResearchOnlyWarning)
            return reason(models, models_file, asked, checked, out, reporter, as_json)
    except KeyboardInterrupt:
        return _interrupted(reporter)
    finally:
        reporter.stop()


def _options(options: dict[str, Any]) -> Options:
    """What the words of the command line mean."""
    from .options import Options

    quirks = options["quirks"]
    options["quirks"] = None if quirks is None else tuple(q.strip() for q in quirks.split(",") if q.strip())
    options["assumed"] = _assumed(options["assumed"])
    return Options.of({**options, "cases": _case_ids(options["cases"])})


def _reporter(quiet: bool) -> Reporter:
    from rich.console import Console

    from .report import Reporter

    out_console = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
    return Reporter(out_console, Console(stderr=True), quiet)


def _evaluate(
    model: str, data: str | None, out: Path | None, as_json: bool, quiet: bool, options: dict[str, Any]
) -> int:
    from . import runner

    checked, reporter = _options(options), _reporter(quiet or as_json)
    try:
        run = _prepare(model, data, checked)
        results = runner.execute(run, out or run.default_folder(), reporter)
    except KeyboardInterrupt:
        return _interrupted(reporter)
    finally:
        reporter.stop()
    _show(results, reporter, as_json)
    return 1 if results.failures or results.scores.details.get("problems") else 0


def _prepare(model: str, data: str | None, options: Options) -> Run | LanguageRun:
    """Load and open; terms of use are printed with what was taken, so no warning repeats them."""
    from ..zoo.registry import ResearchOnlyWarning
    from .runner import prepare_run

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResearchOnlyWarning)
        return prepare_run(model, data, options)


def _assumed(text: str | None) -> dict[str, str] | None:
    """Patient -> grade from ``0=low,7=high``."""
    if text is None:
        return None
    pairs = [word.strip().rpartition("=") for word in text.split(",")]
    wrong = ["".join(pair) for pair in pairs if not pair[0] or pair[2] not in ("low", "high")]
    if wrong:
        raise UsageError(
            f"--assumed: got {wrong[0]!r}, expected PATIENT=low or PATIENT=high, with commas between"
        )
    return {patient: grade for patient, _, grade in pairs}


def _case_ids(text: str | None) -> tuple[str, ...] | None:
    """Ids from ``a,b`` or from a file that holds one a line."""
    if text is None:
        return None
    path = Path(text)
    try:
        words = path.read_text(encoding="utf-8").splitlines() if path.is_file() else text.split(",")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--cases: {path} cannot be read as a list of ids: {error}") from error
    ids = tuple(word.strip() for word in words if word.strip())
    if not ids:
        raise UsageError(f"--cases: no id in {text!r}")
    return ids


def _show(results: Results, reporter: Reporter, as_json: bool) -> None:
    if as_json:
        click.echo(results.to_json(), nl=False)
    else:
        reporter.show(results)


def _interrupted(reporter: Reporter) -> int:
    reporter.stop()
    if reporter.folder is None:
        message = "interrupted before the first case"
    else:
        message = (
            f"interrupted: {reporter.done} of {reporter.total} cases{_answers_in(reporter.folder)} are in "
            f"{reporter.folder}; the same command goes on from there"
        )
    click.echo(f"zoo-eval: {message}", err=True)
    return INTERRUPTED


def _answers_in(folder: Path) -> str:
    """Of a live language model: its answers on file, those about the case it was stopped in included."""
    transcript = folder / "transcript.jsonl"
    if not transcript.is_file():
        return ""
    return f" ({len(transcript.read_bytes().splitlines())} answers)"


def _fail(error: VoxzooError, code: int) -> int:
    click.echo(f"zoo-eval: error: {' '.join(str(error).split())}", err=True)
    return code


command.add_command(compare_command)
command.add_command(judge_command)
command.add_command(check_command)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``zoo-eval``."""
    try:
        code = command.main(arguments, prog_name="zoo-eval", standalone_mode=False)
    except click.ClickException as error:
        click.echo(f"zoo-eval: error: {error.format_message()} (zoo-eval --help lists all)", err=True)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("zoo-eval: interrupted", err=True)
        code = INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe left; nothing to tell anyone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


if __name__ == "__main__":
    main()
