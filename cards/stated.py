"""What only a person can state about a model: the fields that reviewers of medical AI look for.

They come from a small YAML file beside the weights (``cnn3d-seg.card.yaml`` beside ``cnn3d-seg.onnx``). What
is not in it, and cannot be read from the contract or from runs, is printed as "not stated".

Guidelines: CLAIM (Mongan et al. 2020, its numbering), TRIPOD+AI 2024 (Collins et al.), the CHAI applied model
card, Metrics Reloaded 2024 (Maier-Hein, Reinke et al.), and the Hugging Face model card.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..eval.files import reason
from ..eval.language.published import ROWS
from ..zoo.errors import UsageError

SUFFIX = ".card.yaml"
NOT_STATED = "not stated"


@dataclass(frozen=True)
class Field:
    """A field of a card.

    Attributes:
        key: in the YAML file.
        title: on the card.
        section: of the card that it stands in.
        asked_by: the guideline and item that ask for it.
        words: any of which, in a card that is not ours, shows that the field is there.
    """

    key: str
    title: str
    section: str
    asked_by: str
    words: tuple[str, ...]


FIELDS = (
    Field(
        "intended_use", "Intended use", "Intended use", "CHAI, TRIPOD+AI 3b", ("intended use", "direct use")
    ),
    Field("users", "Intended users", "Intended use", "CHAI, TRIPOD+AI 3b", ("intended user", "users")),
    Field("population", "Target population", "Intended use", "TRIPOD+AI 3b", ("population",)),
    Field(
        "out_of_scope",
        "Out of scope",
        "Intended use",
        "CHAI",
        ("out of scope", "out-of-scope", "not intended", "must not"),
    ),
    Field("regulatory", "Regulatory status", "Intended use", "CHAI", ("medical device", "regulatory", "fda")),
    Field("data_sources", "Sources", "Training data", "CLAIM 7", ("training data", "data source", "dataset")),
    Field("data_dates", "Dates of acquisition", "Training data", "CLAIM 7", ("acquired between", "dates")),
    Field("data_sites", "Sites", "Training data", "CLAIM 7", ("sites", "institution", "centers", "centres")),
    Field("eligibility", "Eligibility", "Training data", "CLAIM 8", ("eligib", "inclusion", "exclusion")),
    Field("preprocessing", "Preprocessing", "Training data", "CLAIM 9", ("preprocess", "pre-process")),
    Field("missing_data", "Missing data", "Training data", "CLAIM 13", ("missing data", "missing modal")),
    Field(
        "reference_standard",
        "Reference standard",
        "Reference standard",
        "CLAIM 14",
        ("reference standard", "ground truth", "annotation", "gold standard"),
    ),
    Field(
        "annotators",
        "Who annotated",
        "Reference standard",
        "CLAIM 15-17",
        ("annotator", "radiologist", "annotated by", "raters"),
    ),
    Field(
        "annotator_agreement",
        "Agreement of annotators",
        "Reference standard",
        "CLAIM 18",
        ("agreement", "inter-rater", "interrater", "variability"),
    ),
    Field(
        "partition", "Partition", "Partition", "CLAIM 20", ("partition", "split", "cross-valid", "held out")
    ),
    Field(
        "sample_size",
        "Sample size",
        "Partition",
        "CLAIM 19",
        ("sample size", "number of patients", "patients"),
    ),
    Field(
        "metric_rationale",
        "Why these metrics",
        "Results",
        "Metrics Reloaded FP2.1",
        ("rationale", "metrics reloaded", "why these metrics"),
    ),
    Field("external_test", "External test", "Results", "CLAIM 32", ("external test", "external valid")),
    Field(
        "failure_modes", "Where it fails", "Failure cases", "CLAIM 37", ("fail", "worst case", "error anal")
    ),
    Field("limitations", "Limitations", "Limitations", "CLAIM 38", ("limitation", "bias, risks", "caveat")),
    Field("fairness", "Fairness", "Limitations", "TRIPOD+AI 14", ("fairness", "subgroup", "demographic")),
    Field(
        "training_energy",
        "Energy and CO2 of training",
        "Cost",
        "Hugging Face card",
        ("co2", "carbon", "emission", "kwh"),
    ),
    Field("contact", "Contact", "Licence", "CHAI", ("contact", "authors", "developed by")),
    Field("citation", "Citation", "Licence", "Hugging Face card", ("citation", "bibtex", "cite")),
)
"""All that a person may have to state, in the order of the card."""
LISTS = ("tags", "published")
OTHER = ("summary", "license_id", "license_link", "base_model", "co2_training_grams", "datasets", *LISTS)
"""Keys of the file that are about the YAML head of the card."""
DATASET_KEYS = ("title", "hub_id", "task_id", "revision", "note")


@dataclass(frozen=True)
class Stated:
    """A file of statements.

    Attributes:
        texts: key of a ``Field``, or one of ``OTHER`` that is a text -> what is stated.
        tags: of the Hub, beyond those that follow from the model.
        published: rows of the study ("cnn/box") that are about this model's design.
        datasets: name of a dataset in the runs -> title, hub_id, task_id, revision, note.
        co2_training_grams: of CO2 equivalents; None where nobody knows.
        source: the file; "" without one.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    datasets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    co2_training_grams: float | None = None
    source: str = ""

    def __getitem__(self, key: str) -> str:
        """The statement, "" where there is none."""
        return self.texts.get(key, "")

    @property
    def missing(self) -> tuple[Field, ...]:
        """What nobody stated."""
        return tuple(f for f in FIELDS if not self[f.key])


def read_stated(path: Path) -> Stated:
    """Read a ``.card.yaml`` file.

    Raises:
        UsageError: it is no YAML, or a key or a value is none that is known; the message names it.
    """
    import yaml

    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({reason(error)})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(plain, dict):
        raise UsageError(f"{path}: expected keys with values, got {type(plain).__name__}")
    try:
        return _stated(plain, str(path))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def beside(model_file: Path) -> Path:
    """Where the statements about a model file lie.

    Example:
        >>> beside(Path("weights/cnn3d-seg.onnx")).name
        'cnn3d-seg.card.yaml'
    """
    return model_file.with_name(model_file.stem + SUFFIX)


def _stated(plain: Mapping[Any, Any], source: str) -> Stated:
    known = (*(f.key for f in FIELDS), *OTHER)
    for key in plain:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
            raise UsageError(f"unknown key {key!r}: {hint}")
    texts = {k: v for k, v in plain.items() if k not in (*LISTS, "datasets", "co2_training_grams")}
    for key, value in texts.items():
        if not isinstance(value, str) or not value.strip():
            raise UsageError(f"{key}: got {value!r}, expected a text (leave the key out if nothing is known)")
    return Stated(
        texts={key: " ".join(value.split()) for key, value in texts.items()},
        tags=_strings(plain, "tags"),
        published=_published(_strings(plain, "published")),
        datasets=_datasets(plain.get("datasets", {})),
        co2_training_grams=_grams(plain.get("co2_training_grams")),
        source=source,
    )


def _strings(plain: Mapping[Any, Any], key: str) -> tuple[str, ...]:
    value = plain.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"{key}: got {value!r}, expected a list of texts")
    return tuple(value)


def _published(names: tuple[str, ...]) -> tuple[str, ...]:
    known = [f"{row.name}/{row.task}" for row in ROWS]
    for name in names:
        if name not in known:
            raise UsageError(f"published: got {name!r}, expected some of {', '.join(known)}")
    return names


def _datasets(value: Any) -> dict[str, dict[str, str]]:
    if not isinstance(value, dict):
        raise UsageError(f"datasets: got {value!r}, expected the name of a dataset with its facts below")
    for name, facts in value.items():
        if not isinstance(facts, dict) or not all(isinstance(fact, str) for fact in facts.values()):
            raise UsageError(f"datasets.{name}: got {facts!r}, expected texts for {', '.join(DATASET_KEYS)}")
        unknown = [key for key in facts if key not in DATASET_KEYS]
        if unknown:
            raise UsageError(f"datasets.{name}: unknown key {unknown[0]!r}, known: {', '.join(DATASET_KEYS)}")
    return {str(name): dict(facts) for name, facts in value.items()}


def _grams(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise UsageError(f"co2_training_grams: got {value!r}, expected grams, 0 or more")
    return float(value)
