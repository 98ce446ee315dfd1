"""``zoo-eval judge``: how far automatic judges can be trusted, and the twelve questions to a model.

Exit codes: 0 done; 2 wrong use or unusable data. Only click is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ....zoo.answerer import Answerer
    from .gutvlm import GutVlm
    from .scorers import Scorer

_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_OUT = click.Path(path_type=Path)


@click.group(
    "judge",
    context_settings=_HELP,
    invoke_without_command=True,
    subcommand_metavar="[vqa [OPTIONS]]",
)
@click.option("--data", "-d", type=_OUT, help="GutVLM: a folder with X.json and vqa_X.json, or X.json.")
@click.option("--scorer", help="Judges, with commas between.  [default: all that need no model]")
@click.option("--setting", help="Golds, with commas between: corrected, changed, reworded, answers, another.")
@click.option("--nli", multiple=True, help="A local classifier of entailment is a judge, too: its folder.")
@click.option("--embed", multiple=True, help="A local encoder of texts is a judge, too: its folder.")
@click.option(
    "--judge", multiple=True, help="A language model is a judge, too: FILE.gguf, openai:URL#MODEL, ..."
)
@click.option("--limit", type=int, help="Only the first so many images.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the halves and of the bootstrap.")
@click.option("--resamples", type=int, default=1000, show_default=True, help="Of the bootstrap.")
@click.option(
    "--fit", is_flag=True, help="Print the coefficients of 'aligned', fitted anew, and nothing else."
)
@click.option("--out", "-o", type=_OUT, help="Write the figures here, as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON instead of tables.")
@click.pass_context
def judge_command(context: click.Context, **options: Any) -> int:
    """Let judges find the sentences that experts marked as wrong: AUC, calibration, threshold, error kinds.

    Everything is chosen on one half of the images and reported on the other. The tables hold figures only.
    """
    if context.invoked_subcommand is not None:
        return 0
    return _guarded(_judge, options)


@judge_command.command("vqa", context_settings=_HELP)
@click.option("--data", "-d", type=_OUT, help="GutVLM: a folder with X.json and vqa_X.json, or X.json.")
@click.option(
    "--model", "-m", help="replay:FILE, script:FILE.py, FILE.gguf, transformers:DIR or openai:URL#MODEL."
)
@click.option("--images", type=_OUT, help="Folder of the images.  [default: none is shown]")
@click.option(
    "--context", default="none", show_default=True, help="Before each question: none or description."
)
@click.option("--transcript", "-t", type=_OUT, help="Keep the answers here; the same command goes on.")
@click.option("--limit", type=int, help="Only the first so many images.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the bootstrap.")
@click.option("--out", "-o", type=_OUT, help="Write the figures here, as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON instead of tables.")
def vqa_command(**options: Any) -> int:
    """Ask a model the twelve questions about every image: exact match, n, what is missing, chance."""
    return _guarded(_vqa, options)


def _guarded(work: Callable[[dict[str, Any]], str], options: dict[str, Any]) -> int:
    """Print what comes of it; an error of ours is one line."""
    from ....zoo.errors import VoxzooError

    try:
        click.echo(work(options), nl=False)
    except VoxzooError as error:
        click.echo(f"zoo-eval: error: {' '.join(str(error).split())}", err=True)
        return 2
    return 0


def _judge(options: dict[str, Any]) -> str:
    from . import run
    from .golds import SETTINGS
    from .report import show
    from .scorers import NAMES

    data = _data(options)
    if options["fit"]:
        return run.to_json(run.fit(data, options["seed"]))
    record = run.judge(
        data,
        _words(options["scorer"], NAMES),
        _words(options["setting"], SETTINGS),
        _models(options),
        seed=options["seed"],
        resamples=options["resamples"],
    )
    return _told(record, options, show)


def _vqa(options: dict[str, Any]) -> str:
    from ....zoo.errors import UsageError
    from . import vqa
    from .report import show_vqa
    from .transcript import ask_on_file

    data = _data(options)
    if options["model"] is None:
        raise UsageError("--model: who is asked? replay:FILE, script:FILE.py, FILE.gguf, ...")
    model = _answerer(options["model"], options["images"] is not None)
    how = {"context": options["context"], "image_of": _image_of(options["images"])}
    path = options["transcript"]
    answers = vqa.ask(model, data, **how) if path is None else ask_on_file(path, model, data, **how)
    record = {
        "schema": vqa.SCHEMA,
        "data": {"name": data.name, "sha256": data.sha256, "images": len(data.descriptions)},
        "model": {"name": model.name, "content_sha256": model.content_hash},
        "context": options["context"],
        "images": options["images"] is not None,
        **vqa.score(answers, data, seed=options["seed"]),
    }
    return _told(record, options, show_vqa)


def _data(options: Mapping[str, Any]) -> GutVlm:
    from dataclasses import replace

    from ....zoo.errors import UsageError
    from .gutvlm import read_gutvlm

    if options["data"] is None:
        raise UsageError("--data: a folder with X.json and vqa_X.json of GutVLM is needed")
    limit = options["limit"]
    if limit is not None and limit < 1:
        raise UsageError(f"--limit: got {limit}, expected 1 or more")
    data = read_gutvlm(options["data"])
    return data if limit is None else replace(data, descriptions=data.descriptions[:limit])


def _words(text: str | None, default: tuple[str, ...]) -> tuple[str, ...]:
    return default if text is None else tuple(word.strip() for word in text.split(",") if word.strip())


def _models(options: Mapping[str, Any]) -> dict[str, Scorer]:
    """Judges that are models, by the names under which they are reported."""
    from ..scoring.entailment import open_scorer
    from .scorers import JudgeScorer, by_text_model

    found: dict[str, Scorer] = {}
    for kind in ("nli", "embed"):
        for folder in options[kind]:
            model = open_scorer(f"{kind}:{folder}")
            found[model.name] = by_text_model(model)
    for spec in options["judge"]:
        answerer = _answerer(spec, False)
        found[f"judge-{answerer.name}"] = JudgeScorer(answerer)
    return found


def _answerer(spec: str, needs_images: bool) -> Answerer:
    from ....zoo.language import open_answerer
    from ...language.live import load_script
    from ...language.naming import REPLAY, SCRIPT
    from .transcript import Replay

    if spec.startswith(REPLAY):
        return Replay(Path(spec.removeprefix(REPLAY)).expanduser())
    if spec.startswith(SCRIPT):
        return load_script(spec.removeprefix(SCRIPT))
    return open_answerer(spec, needs_images=needs_images)


def _image_of(folder: Path | None) -> Callable[[str], Any] | None:
    from ....zoo.images import read_image

    return None if folder is None else lambda name: read_image(folder / Path(name).name)


def _told(
    record: dict[str, Any], options: Mapping[str, Any], show: Callable[[Mapping[str, Any]], str]
) -> str:
    from ...files import atomic_write
    from .run import to_json

    if options["out"] is not None:
        atomic_write(options["out"], to_json(record).encode())
    return to_json(record) if options["as_json"] else show(record)
