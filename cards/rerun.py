"""The one command that computes a run again, from what its results file says."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ..zoo.errors import VoxzooError
from ..zoo.tasks.prompt import prompt_task
from .figures import REASON
from .names import visible, without_folders
from .runs import Run

EXAMPLE = "example"
"""The benchmark of the task reason that voxzoo brings."""
_FLAGS = {
    "preset": ("--preset", "metrics-reloaded"),
    "empty": ("--empty", "penalty"),
    "tolerance_mm": ("--tolerance-mm", 1.0),
    "flips": ("--flips", "none"),
    "seed": ("--seed", 0),
}
"""Option of a run -> its flag, and the default that need not be given."""
MOST_CASES = 40
"""Ids that are listed in a command; of more, a file is named that has to hold them."""


def rerun_command(run: Run) -> str:
    """``zoo-eval ...`` in one line, quoted for a shell; DATA stands for a folder that only its owner has.

    Example:
        >>> from voxzoo.cards.rerun import flags
        >>> flags({"preset": "medpy", "seed": 0})
        ['--preset', 'medpy']
    """
    if run.task == REASON:
        return _reason_command(run)
    words = ["zoo-eval", "--model", _model(run)]
    if run.is_language:
        words += ["--task", run.task]
    words += ["--data", _data(run), *_cases(run)]
    words += _language_flags(run) if run.is_language else flags(run.results.options)
    words += ["--cross-validated"] if run.scores.cross_validated else []
    ran = run.scores.runtime
    precision = ran.get("precision") if not run.is_language or ran.get("name") == "transformers" else None
    if precision not in (None, "fp32", "none", ""):
        words += ["--precision", str(precision)]
    return _quoted(words)


def _reason_command(run: Run) -> str:
    options, found = run.results.options, run.details.get("classifier")
    words = ["zoo-eval", "--task", REASON, "--model", _model(run)]
    words += ["--benchmark", run.dataset if run.dataset == EXAMPLE else "FILE"]
    if isinstance(found, Mapping):
        words += ["--classifier", str(found.get("name", "")), "--data", "DATA"]
    words += ["--arms", ",".join(map(str, options.get("arms") or ()))]
    prompts = [str(name) for name in options.get("prompts") or ()]
    words += ["--prompt", prompts[0] if len(prompts) == 1 else "all"]
    words += ["--repeats", str(options.get("repeats", 1))]
    for name, flag in (("new_tokens", "--new-tokens"), ("temperature", "--temperature"), ("seed", "--seed")):
        words += [flag, f"{options[name]:g}"] if options.get(name) else []
    return _quoted(words)


def _quoted(words: Sequence[str]) -> str:
    return " ".join(
        word if word in ("DATA", "FILE") else shlex.quote(visible(word)) for word in [*words, "--out", "RUN"]
    )


def flags(options: dict[str, Any]) -> list[str]:
    """Flags for the options that are not at their default."""
    out: list[str] = []
    for name, (flag, default) in _FLAGS.items():
        if name in options and options[name] != default:
            value = options[name]
            out += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    return out


def _language_flags(run: Run) -> list[str]:
    """The protocol, and the rules that differ from what the protocol of that name says."""
    from ..eval.language.protocols import named

    options = run.results.options
    protocol = str(options.get("protocol", "all"))
    out = ["--protocol", protocol]
    try:
        rules = named(protocol, run.task).to_dict()
    except ValueError:  # a task of one's own, or rules of another version
        rules = {}
    for rule, flag in (
        ("parser", "--parser"),
        ("vote", "--vote"),
        ("no_slices", "--no-slices"),
        ("slices", "--slices"),
        ("unanswered", "--unanswered"),
        ("pooling", "--pooling"),
    ):
        if rule in rules and options.get(rule) != rules[rule]:
            out += [flag, str(options.get(rule))]
    if options.get("seed"):
        out += ["--seed", str(options["seed"])]
    return out if run.scores.runtime.get("name") == "replay" else [*out, *_asked_flags(run)]


def _asked_flags(run: Run) -> list[str]:
    """How a model was asked, where that is not what its contract and its task say anyway."""
    contract, shown = run.scores.contract or {}, run.details.get("shown") or {}
    try:
        usual = {**vars(prompt_task(run.task).slices), **_usual_slices(contract)}
    except VoxzooError:  # a task of one's own, not at hand
        usual = {}
    out = []
    wordings = [str(name) for name in shown.get("prompts") or ()]
    if wordings != [str((contract.get("prompts") or {}).get(run.task, "default"))]:
        out += ["--prompt", wordings[0] if len(wordings) == 1 else "all"] if wordings else []
    for key, flag in (("plane", "--plane"), ("which", "--show"), ("modality", "--modality")):
        if key in shown and shown[key] != usual.get(key):
            out += [flag, str(shown[key])]
    settings = (run.details.get("identity") or {}).get("settings") or {}
    if settings.get("temperature"):
        out += ["--temperature", f"{settings['temperature']:g}"]
    asked = (run.details.get("consistency") or {}).get("repeats") or {}
    if asked.get("questions"):
        out += ["--repeats", str(round(asked["answers"] / asked["questions"]))]
    return out


def _usual_slices(contract: Mapping[str, Any]) -> dict[str, Any]:
    """Which slices are asked about is the task's business, the rest the contract's."""
    plain = contract.get("slices") or {}
    return {key: plain[key] for key in ("plane", "modality") if key in plain}


def _model(run: Run) -> str:
    """What to give ``--model``: the zoo's name, else what is left of how it was found."""
    found = without_folders(run.scores.model.get("found", ""))
    if found.startswith("recorded answers "):
        return "replay:" + found.removeprefix("recorded answers ")
    if found.startswith("transformers:"):
        return found
    if found.startswith("file "):
        return found.removeprefix("file ").partition(" (")[0]
    return run.model


def _data(run: Run) -> str:
    source = run.results.dataset["source"]
    return source if run.results.dataset["kind"] == "phantom" else "DATA"


def _cases(run: Run) -> list[str]:
    """Which cases: none named for recorded answers (all of them), and for phantoms if they are all there."""
    ids = [record.case for record in run.cases]
    data = run.results.dataset
    if data["kind"] == "recorded" or (data["kind"] == "phantom" and f"n={len(ids)}," in data["source"]):
        return []
    return ["--cases", ",".join(ids)] if len(ids) <= MOST_CASES else ["--cases", "IDS.txt"]
