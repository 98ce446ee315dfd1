"""The machine-readable part of a card: YAML head with ``model-index``, and ``.eval_results/*.yaml``.

Both are made by ``huggingface_hub``: the first is what most readers know, the second what the Hub reads now.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..eval.views.common import number
from ..zoo.errors import MissingDependencyError
from .names import slug, visible
from .runs import Run
from .stated import Stated
from .subject import Subject

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

PIPELINES = {"segment": "image-segmentation", "classify": "image-classification", "reason": "text-generation"}
PROMPTED = "image-text-to-text"
UNPUBLISHED = "unpublished"
"""Owner, in ``.eval_results``, of datasets that are not on the Hub; such entries are never uploaded."""
HUB = 'pip install "huggingface_hub>=1.4"'


def head(subject: Subject) -> ModelCardData:
    """The YAML head of a card."""
    from huggingface_hub import ModelCardData

    stated = subject.stated
    licence, name, link = _licence(subject)
    facts: dict[str, Any] = {
        "license": licence,
        "license_name": name,
        "license_link": link,
        "base_model": stated["base_model"] or None,
        "library_name": "voxzoo",
        "pipeline_tag": PIPELINES.get(subject.task, PROMPTED),
        "tags": ["medical", "medical-imaging", "voxzoo", *stated.tags],
        "metrics": _metrics(subject) or None,
        "datasets": _hub_ids(subject) or None,
        "model_name": visible(subject.name),
        "eval_results": [result for run in subject.runs for result in _results(run, stated)] or None,
        "voxzoo": _own(subject) or None,
    }
    if stated.co2_training_grams is not None:
        facts["co2_eq_emissions"] = _emissions(subject)
    if facts["eval_results"] is None:
        facts.pop("model_name")
    return ModelCardData(**{key: value for key, value in facts.items() if value is not None})


def eval_files(subject: Subject) -> dict[str, str]:
    """Name in ``.eval_results/`` -> YAML text, one file per dataset.

    Raises:
        MissingDependencyError: a huggingface_hub that does not know this format.
    """
    try:
        from huggingface_hub import eval_result_entries_to_yaml
    except ImportError as error:
        raise MissingDependencyError(f"this huggingface_hub does not know .eval_results: {HUB}") from error
    import yaml

    files: dict[str, list[Any]] = {}
    for run in subject.runs:
        hub = subject.stated.datasets.get(run.dataset, {}).get("hub_id")
        owner = "" if hub else f"{UNPUBLISHED}-"
        files.setdefault(f"{owner}{slug(run.dataset)}.yaml", []).extend(_entries(run, subject.stated))
    return {
        name: yaml.safe_dump(
            eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True, width=110
        )
        for name, entries in files.items()
    }


def _entries(run: Run, stated: Stated) -> list[Any]:
    from huggingface_hub import EvalResultEntry

    facts = stated.datasets.get(run.dataset, {})
    where = facts.get("hub_id") or f"{UNPUBLISHED}/{slug(run.dataset)}"
    note = "" if facts.get("hub_id") else "not a dataset of the Hub; "
    date = run.results.session.get("started")
    return [
        EvalResultEntry(
            dataset_id=where,
            task_id=facts.get("task_id") or f"{slug(run.task)}-{name}",
            value=round(run.figures[name].mean, 6),
            dataset_revision=facts.get("revision"),
            date=str(date) if date else None,
            notes=note + _note(run, name),
        )
        for name in run.headline
        if run.figures[name].mean == run.figures[name].mean
    ]


def _note(run: Run, name: str) -> str:
    """What the number is, for who reads no more than this."""
    figure, about = run.figures[name], run.figure(name)
    parts = [
        f"{about.title}{f' in {about.unit}' if about.unit else ''}",
        f"95 % CI {number(figure.ci95[0])} to {number(figure.ci95[1])}" if figure.ci95 else "no interval",
        f"n {figure.n}, without a prediction {figure.missing}, empty {figure.empty}",
        about.definition,
        f"data sha256 {run.data_sha256}",
        f"model sha256 {run.content_sha256 or 'none'}",
    ]
    return visible("; ".join(part for part in parts if part))


def _results(run: Run, stated: Stated) -> list[EvalResult]:
    from huggingface_hub import EvalResult

    facts = stated.datasets.get(run.dataset, {})
    known = [name for name in run.headline if run.figures[name].mean == run.figures[name].mean]
    return [
        EvalResult(
            task_type=PIPELINES.get(run.task, PROMPTED),
            task_name=visible(run.task),
            dataset_type=facts.get("hub_id") or slug(run.dataset),
            dataset_name=visible(facts.get("title") or run.dataset),
            dataset_revision=facts.get("revision"),
            dataset_args={"cases": len(run.cases), "sha256": run.data_sha256},
            metric_type=name,
            metric_name=visible(_metric_name(run, name)),
            metric_value=round(run.figures[name].mean, 6),
            metric_args=_metric_args(run, name),
        )
        for name in known
    ]


def _metric_name(run: Run, name: str) -> str:
    about = run.figure(name)
    return about.title + (f", {about.unit}" if about.unit else "")


def _metric_args(run: Run, name: str) -> dict[str, Any]:
    figure = run.figures[name]
    ci = [round(bound, 6) for bound in figure.ci95] if figure.ci95 else None
    counts = {"n": figure.n, "missing": figure.missing, "empty_predictions": figure.empty}
    return {**({"ci95": ci} if ci else {}), **counts, **run.definition}


def _licence(subject: Subject) -> tuple[str, str | None, str | None]:
    """(id of the Hub, name and link where the id is "other")."""
    stated = subject.stated
    weights = str((subject.contract.get("licence") or {}).get("weights", ""))
    known = stated["license_id"] or (weights.lower() if weights.lower() in HUB_LICENCES else "")
    if known and known != "other":
        return known, None, None
    return (
        ("other", visible(weights) or None, stated["license_link"] or None)
        if weights
        else ("unknown", None, None)
    )


HUB_LICENCES = (
    "apache-2.0",
    "mit",
    "bsd-3-clause",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0",
    "cc0-1.0",
    "llama3.2",
)
"""Ids of the Hub that a contract's licence of the weights may equal."""


def _metrics(subject: Subject) -> list[str]:
    return list(dict.fromkeys(name for run in subject.runs for name in run.headline))


def _hub_ids(subject: Subject) -> list[str]:
    stated = subject.stated.datasets
    return list(
        dict.fromkeys(
            stated[r.dataset]["hub_id"] for r in subject.runs if stated.get(r.dataset, {}).get("hub_id")
        )
    )


def _emissions(subject: Subject) -> dict[str, Any]:
    """Of training, in grams, as the Hub reads it."""
    out: dict[str, Any] = {"emissions": subject.stated.co2_training_grams, "training_type": "pre-training"}
    return {
        **out,
        **({"source": subject.stated["training_energy"]} if subject.stated["training_energy"] else {}),
    }


def _own(subject: Subject) -> Mapping[str, Any]:
    """What only we say: hashes, and what inference takes."""
    facts: dict[str, Any] = {"version": subject.version or None, **{k: subject.facts.get(k) for k in _HASHES}}
    for run in subject.runs:
        energy = run.energy
        if energy is not None and energy.per_slice is not None:
            grams, unit = energy.grams_per_slice, energy.unit.rpartition(" ")[2]
            facts["inference"] = {
                f"joules_per_{unit}": round(energy.per_slice, 6),
                f"co2_grams_per_{unit}": None if grams is None else round(grams, 9),
                "measured": energy.measured,
                "method": visible(energy.method),
            }
            break
    return {key: value for key, value in facts.items() if value is not None}


_HASHES = ("sha256", "content_sha256")
