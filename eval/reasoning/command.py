"""``zoo-eval --task reason``: from the words of a command line to runs, tables and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...zoo.errors import UsageError
from ...zoo.tasks.reason import NAME
from .. import files, tables
from ..options import Options
from ..runner import Silent
from .comparing import Comparison, default_folder, run_all
from .models_file import Entry, read_models
from .run import Outcome, ReasonRun
from .settling import Asked, Spec, check_models, check_scoring, open_model, settle, settle_scorers

if TYPE_CHECKING:
    from ..runner import Watcher

NEEDLESS = ("flips", "trust", "workers", "baseline")
"""Options of other tasks that ``Options`` gives no task to."""


def evaluate_reasoning(
    models: Spec | Sequence[Spec | Entry] | Path,
    benchmark: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    data: Any = None,
    classifier: Any = None,
    labels: str | None = None,
    arms: str = "auto",
    images: int = 1,
    seen: bool = False,
    new_tokens: int | None = None,
    scorers: str = "rouge_l,chrf",
    judge: Spec | None = None,
    watcher: Watcher | None = None,
    **options: Any,
) -> Outcome | Comparison:
    """Ask language models for their reasoning about conditions, and score it against gold key points.

    Args:
        models: one, a list of them, or the ``Path`` of a YAML file that lists them.
        benchmark: a file, or "example".
        out: run folder, of several models the folder of their run folders; None keeps everything in memory.
        data: images whose class is known, for the classifier.
        classifier: name, path or an opened model.
        labels: ``LABEL=CONDITION,...`` where the classifier's labels are written otherwise.
        arms: "without", "predicted", "true" with commas between; "auto": all that can be asked.
        images: for each condition.
        seen: take images that the classifier was trained on, too.
        new_tokens: that an answer may take.
        scorers: beside key points: rouge_l, chrf, ``nli:DIR``, ``embed:DIR``, with commas between; "none".
        judge: a language model that compares the answers of two others.
        watcher: is told how runs go on.
        **options: fields of ``voxzoo.eval.Options``: prompt, repeats, temperature, seed, limit, ...

    Returns:
        Of one model its results and rows; of several the comparison.

    Raises:
        UsageError: something that was asked for cannot be.
        ModelError, ContractError: the classifier, or the only model, cannot be opened.
        RunError: a folder cannot be written or belongs to another run.

    Example:
        >>> class Silent:
        ...     name, content_hash = "silent", ""
        ...     def answer(self, question):
        ...         return ""
        >>> found = evaluate_reasoning(Silent(), "example", scorers="none")
        >>> found.results.aggregate["recall_true"].mean, found.results.aggregate["recall_true"].empty
        (0.0, 10)
    """
    checked = Options.of({**options, "task": NAME})
    asked = Asked(benchmark, data, classifier, labels, arms, images, seen, new_tokens, scorers, judge)
    given = _entries(models)
    check(checked, given)
    return _run(given, asked, checked, None if out is None else Path(out), watcher or Silent(), alone=True)


def _entries(models: Any) -> list[Entry]:
    if isinstance(models, Path) and models.suffix.lower() in (".yaml", ".yml"):
        return read_models(models)
    several = models if isinstance(models, list | tuple) else [models]
    return [one if isinstance(one, Entry) else Entry(one) for one in several]


def check(options: Options, entries: Sequence[Entry]) -> None:
    """Refuse what has no meaning here, before any work.

    Raises:
        UsageError: names it.
    """
    options.check_task(NAME)
    for name in NEEDLESS:
        if getattr(options, name) != Options.__dataclass_fields__[name].default:
            raise UsageError(f"{name}: has no meaning for the task {NAME}")
    if not entries:
        raise UsageError("no model to ask: give --model, several times for several, or --models FILE.yaml")
    check_models([entry.model for entry in entries])
    for entry in entries:
        entry.of(options)
    if options.parquet:
        tables.require_parquet()


def _run(
    entries: Sequence[Entry],
    asked: Asked,
    options: Options,
    out: Path | None,
    watcher: Watcher,
    alone: bool,
) -> Outcome | Comparison:
    """One model's outcome, or several models compared."""
    survey, scorers = settle(asked, options), settle_scorers(asked.scorers)
    check_scoring(survey, scorers)
    if len(entries) == 1:
        if asked.judge is not None:
            raise UsageError("--judge: compares the answers of two models; give several")
        own = entries[0].of(options)
        run = ReasonRun.of(open_model(entries[0].model, own), survey, scorers, own, entries[0].name)
        return run.execute(out if out is not None or alone else run.default_folder(), watcher)
    folder = out if out is not None or alone else default_folder(entries, survey)
    if folder is not None:
        files.prepare_folder(folder)
    judge = None if asked.judge is None else open_model(asked.judge, options)
    return run_all(entries, survey, scorers, options, folder, watcher, judge)


def reason(
    models: Sequence[str],
    models_file: Path | None,
    asked: Mapping[str, Any],
    options: Options,
    out: Path | None,
    reporter: Any,
    as_json: bool,
) -> int:
    """What ``zoo-eval --task reason`` does; returns its exit code.

    Args:
        models: after ``--model``.
        models_file: after ``--models``.
        asked: fields of ``Asked``.
        options: of every run.
        out: run folder.
        reporter: follows the runs and prints.
        as_json: prints files instead of tables.

    Raises:
        UsageError and others: as ``evaluate_reasoning``.
    """
    if asked.get("benchmark") is None:
        raise UsageError(
            "--benchmark: say which FILE of gold key points is asked about, or example; docs/reasoning.md "
            "has the format"
        )
    entries = [Entry(model) for model in models] + ([] if models_file is None else read_models(models_file))
    check(options, entries)
    given = {name: value for name, value in asked.items() if value is not None}
    found = _run(entries, Asked(**given), options, out, reporter, alone=False)
    if isinstance(found, Outcome):
        if as_json:
            sys.stdout.write(found.results.to_json())
        else:
            reporter.show(found.results)
        return 1 if found.results.failures or found.results.scores.details["problems"] else 0
    return _show(found, reporter, as_json)


def _show(comparison: Comparison, reporter: Any, as_json: bool) -> int:
    """The comparison, printed; in the runs' folder it is written as Markdown, too."""
    from ..views.reason import comparison_text

    text = comparison_text(comparison.record)
    reporter.stop()
    folder = next((model.folder.parent for model in comparison.models if model.folder is not None), None)
    if folder is not None:
        files.atomic_write(folder / "comparison.md", text.encode())
    if as_json:
        sys.stdout.write(comparison.to_json())
    else:
        reporter.out.print(text, highlight=False, markup=False, soft_wrap=True)
        if folder is not None:
            reporter.out.print(
                f"Saved: {folder / 'comparison.json'}, comparison.md, and a run folder for each model",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
    problems = any(
        model.outcome is not None and model.outcome.results.scores.details["problems"]
        for model in comparison.models
    )
    return 1 if comparison.failures or problems else 0
