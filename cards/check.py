"""Is a card a valid one, and what does it leave unsaid? For our cards and for anyone's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..eval.files import reason
from ..zoo.errors import UsageError
from .stated import FIELDS, NOT_STATED, Field

LARGEST = 4 * 2**20
"""Bytes of a card that is read; more is no card."""
THERE, MISSING = "there", "missing"
_HEAD = re.compile(r"\A(?:\ufeff)?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_HUB_KEYS = {
    "license": "the licence of the weights",
    "pipeline_tag": "the task, by which the Hub finds it",
    "library_name": "what loads it",
    "tags": "words by which it is found",
    "model-index": "the figures, for machines",
}
_EVIDENCE = (
    ("intervals", "Confidence intervals", "TRIPOD+AI 23a", r"95\s*%\s*(ci|confidence)|confidence interval|±"),
    (
        "misses",
        "Cases without a prediction",
        "Metrics Reloaded",
        r"\bmissing\b|without a prediction|failed cases",
    ),
    (
        "definitions",
        "Definition of the metrics",
        "MONAI 9095",
        r"preset|definition|computed (with|by)|monai|medpy",
    ),
    ("robustness", "Robustness", "CLAIM 30", r"robust"),
    (
        "inference_cost",
        "Time or energy of inference",
        "CHAI",
        r"per (axial )?(slice|patient|image|case)|latency",
    ),
    ("hash", "Hash of the file", "traceability", r"\b[0-9a-f]{64}\b"),
    ("input", "Input and output", "CLAIM 22", r"input and output|\binputs?\b"),
    ("rerun", "How to compute it again", "CLAIM 41", r"zoo-eval|how to (use|run|reproduce|compute)|reproduc"),
)
"""(key, title, asked by, pattern): what shows, in any card, that something was said at all."""


@dataclass(frozen=True)
class Finding:
    """One thing that a card should say.

    Attributes:
        key, title: of it.
        asked_by: who asks for it.
        state: "there", "not stated" (the card itself says so) or "missing".
    """

    key: str
    title: str
    asked_by: str
    state: str


@dataclass(frozen=True)
class Report:
    """What was found in a card.

    Attributes:
        source: the file.
        errors: why it is not valid; empty for a valid card.
        findings: all that is looked for, in order.
    """

    source: str
    errors: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def missing(self) -> tuple[Finding, ...]:
        """What the card does not say."""
        return tuple(finding for finding in self.findings if finding.state != THERE)

    def lines(self) -> list[str]:
        """For a person."""
        said = len(self.findings) - len(self.missing)
        verdict = "not valid" if self.errors else "valid"
        head = f"{self.source}: {verdict}; {said} of {len(self.findings)} fields are there"
        missing = [f"  {f.state:<10}  {f.title} ({f.asked_by})" for f in self.missing]
        return [head, *(f"  error       {error}" for error in self.errors), *missing]


def check(path: Path) -> Report:
    """Check a card.

    Args:
        path: a Markdown file, or a folder with ``README.md``; ``.eval_results/*.yaml`` beside it too.

    Raises:
        UsageError: there is no such file, or it is no text.
    """
    file = path / "README.md" if path.is_dir() else path
    text = _text(file)
    head, errors = _head(text)
    body = _HEAD.sub("", text)
    errors += [*_hub_errors(text, head), *_result_errors(file.parent / ".eval_results")]
    findings = [*_of_head(head), *(_of_field(field, body) for field in FIELDS), *_of_evidence(body)]
    return Report(str(file), tuple(errors), tuple(findings))


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > LARGEST:
            raise UsageError(f"{file}: larger than {LARGEST} bytes, so not a model card")
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({reason(error)})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: not UTF-8 text, so not a model card ({error})") from error


def _head(text: str) -> tuple[dict[str, Any], list[str]]:
    """(the YAML head, what is wrong with it)."""
    import yaml

    found = _HEAD.search(text)
    if found is None:
        cut = text.startswith("---")
        return {}, ["the YAML head is not closed by ---" if cut else "no YAML head between --- and ---"]
    try:
        plain = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        return {}, [f"the YAML head cannot be read: {' '.join(str(error).split())}"]
    if not isinstance(plain, dict):
        return {}, [f"the YAML head holds {type(plain).__name__}, expected keys with values"]
    return plain, []


def _hub_errors(text: str, head: Mapping[str, Any]) -> list[str]:
    """What huggingface_hub itself refuses."""
    if not head:
        return []
    from huggingface_hub import ModelCard

    if "model-index" in head:
        problem = _index_problem(head["model-index"])
        if problem:
            return [f"model-index: {problem}"]
    try:
        ModelCard(text)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return [f"refused by huggingface_hub: {' '.join(str(error).split()) or type(error).__name__}"]
    return []


def _index_problem(index: Any) -> str:
    """What is wrong with the shape of a model-index; "" if nothing."""
    if not isinstance(index, list) or not index:
        return "expected a list with a model"
    for model in index:
        if not isinstance(model, dict) or not isinstance(model.get("name"), str):
            return "a model without a name"
        for result in model.get("results") or [{}]:
            problem = _result_problem(result)
            if problem:
                return f"{model['name']}: {problem}"
    return ""


def _result_problem(result: Any) -> str:
    if not isinstance(result, dict):
        return "a result that is not keys with values"
    for part, keys in (("task", ("type",)), ("dataset", ("name", "type"))):
        values = result.get(part)
        absent = [key for key in keys if not isinstance(values, dict) or not values.get(key)]
        if absent:
            return f"a result without {part}.{absent[0]}"
    metrics = result.get("metrics")
    whole = isinstance(metrics, list) and all(
        isinstance(m, dict) and "type" in m and "value" in m for m in metrics
    )
    return "" if metrics and whole else "a result without metrics that have a type and a value"


def _result_errors(folder: Path) -> list[str]:
    """What is wrong with ``.eval_results/*.yaml``."""
    import yaml
    from huggingface_hub import parse_eval_result_entries

    errors = []
    for file in sorted(folder.glob("*.yaml")) if folder.is_dir() else []:
        try:
            parse_eval_result_entries(yaml.safe_load(file.read_text(encoding="utf-8")))
        except (yaml.YAMLError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
            errors.append(f".eval_results/{file.name}: {type(error).__name__} {' '.join(str(error).split())}")
    return errors


def _of_head(head: Mapping[str, Any]) -> Iterator[Finding]:
    for key, title in _HUB_KEYS.items():
        state = THERE if head.get(key) not in (None, "", [], "unknown") else MISSING
        yield Finding(key, f"{key}: {title}", "Hugging Face card", state)


def _of_field(field: Field, body: str) -> Finding:
    """Ours by its title; in other cards any of its words will do."""
    own = re.search(rf"\*\*{re.escape(field.title)}:\*\*[ ]*(.*)", body)
    if own is not None:
        state = NOT_STATED if own[1].strip() == NOT_STATED else THERE
    else:
        state = THERE if any(word in body.casefold() for word in field.words) else MISSING
    return Finding(field.key, field.title, field.asked_by, state)


def _of_evidence(body: str) -> Sequence[Finding]:
    found = []
    for key, title, asked_by, pattern in _EVIDENCE:
        section = re.search(rf"(?m)^## {re.escape(title)}\s+{NOT_STATED}", body)
        there = re.search(pattern, body, re.IGNORECASE) is not None
        found.append(Finding(key, title, asked_by, NOT_STATED if section else THERE if there else MISSING))
    return found
