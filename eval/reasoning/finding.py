"""The classifier's part: images in, findings out, each a condition of the benchmark or a label of its own.

Which condition a label means is never guessed: where they are not written alike, a mapping is asked for.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...zoo.contract import ImageSpec
from ...zoo.errors import CaseError, ModelError, UsageError
from ...zoo.images import ImageCase
from ...zoo.tasks.reason import Finding
from .benchmark import Benchmark

if TYPE_CHECKING:
    from ...zoo.classifier import ClassifierModel

NOWHERE = "-"
"""What a label is mapped to that is no condition of the benchmark."""


@dataclass(frozen=True)
class Look:
    """One image, and what the classifier finds on it.

    Attributes:
        topic: id of the topic that it is about.
        condition: what is true of it.
        image: its name.
        sha256: of its file; "" when it could not be read.
        label: the classifier's own word; "" when it failed.
        finding: what prompts say; None when it failed.
        problem: why it failed; "".
    """

    topic: str
    condition: str
    image: str
    sha256: str = ""
    label: str = ""
    finding: Finding | None = None
    problem: str = ""

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        plain = {name: getattr(self, name) for name in ("topic", "condition", "image", "sha256", "label")}
        if self.finding is None:
            return {**plain, "problem": self.problem}
        runner = self.finding.runner_up
        return {
            **plain,
            "finding": self.finding.label,
            "confidence": round(self.finding.confidence or 0.0, 6),
            "runner_up": None if runner is None else [runner[0], round(runner[1], 6)],
        }


def read_mapping(text: str | None) -> dict[str, str]:
    """``LABEL=CONDITION`` with commas between.

    Raises:
        UsageError: it is not written so, or a label stands there twice.

    Example:
        >>> read_mapping("polyps=polyp, other=-")
        {'polyps': 'polyp', 'other': '-'}
    """
    out: dict[str, str] = {}
    for word in (text or "").split(","):
        if not word.strip():
            continue
        label, equals, condition = (part.strip() for part in word.partition("="))
        if not (label and equals and condition) or label in out:
            raise UsageError(f"--labels: got {word.strip()!r}, expected LABEL=CONDITION, each label once")
        out[label] = condition
    return out


def settle_labels(
    labels: Sequence[str], conditions: Sequence[str], given: Mapping[str, str]
) -> dict[str, str]:
    """Label -> what prompts call it: a condition, or its own word where it is mapped to ``-``.

    Raises:
        UsageError: labels that are no conditions and are not mapped; a mapping of or to what is not there.

    Example:
        >>> settle_labels(("polyps", "erythema"), ("polyp", "erythema"), {"polyps": "polyp"})
        {'polyps': 'polyp', 'erythema': 'erythema'}
    """
    known = ", ".join(conditions)
    for label, condition in given.items():
        if label not in labels:
            raise UsageError(f"--labels: {label!r} is no label of the classifier; it has {', '.join(labels)}")
        if condition not in (*conditions, NOWHERE):
            raise UsageError(f"--labels: {condition!r} is no condition of the benchmark; it has {known}")
    unknown = [label for label in labels if label not in given and label not in conditions]
    if unknown:
        wanted = ",".join(f"{label}=..." for label in unknown)
        raise UsageError(
            f"the benchmark does not know the classifier's {', '.join(unknown)}: say which condition each "
            f'means with --labels "{wanted}"; conditions are {known}, and - is none of them'
        )
    settled = {label: given.get(label, label) for label in labels}
    return {label: label if name == NOWHERE else name for label, name in settled.items()}


@dataclass(frozen=True, eq=False)
class Finder:
    """A classifier, and what its labels mean in a benchmark.

    Attributes:
        model: the classifier.
        mapping: label -> what prompts call it.
    """

    model: ClassifierModel
    mapping: Mapping[str, str]

    @classmethod
    def of(cls, model: Any, benchmark: Benchmark, given: Mapping[str, str]) -> Finder:
        """Check that a model can give findings to a benchmark.

        Raises:
            UsageError: it does not classify 2-D images, or its labels mean nothing there.
        """
        contract = model.contract
        if contract.task != "classify" or not isinstance(contract.input, ImageSpec):
            raise UsageError(f"--classifier: {model.name} does not classify 2-D images ({contract.task})")
        return cls(model, settle_labels(list(contract.labels.values()), benchmark.labels, given))

    @property
    def seen(self) -> frozenset[str]:
        """Ids of the images that it was trained on, as its contract names them."""
        return frozenset((self.model.contract.training or {}).get("cases") or ())

    @property
    def is_calibrated(self) -> bool:
        """Whether its contract says that its probabilities were calibrated."""
        return "calibration" in (self.model.contract.training or {})

    def look(self, topic: str, condition: str, case: ImageCase) -> Look:
        """The finding on one image; an image that cannot be read or classified is told, not raised."""
        try:
            sha256 = case.fingerprint()
            found = self.model.predict(case).answer.by_label
        except (CaseError, ModelError) as error:
            return Look(topic, condition, case.id, problem=" ".join(str(error).split()))
        first, *rest = sorted(found, key=lambda label: -found[label])
        second = (self.mapping[rest[0]], float(found[rest[0]])) if rest else None
        finding = Finding(self.mapping[first], float(found[first]), second)
        return Look(topic, condition, case.id, sha256, first, finding)

    def record(self, looks: Sequence[Look], left_out: int) -> dict[str, Any]:
        """What results say of it."""
        answered = [look for look in looks if look.finding is not None]
        right = sum(look.finding is not None and look.finding.label == look.condition for look in looks)
        meant = set(self.mapping.values())
        return {
            "name": self.model.name,
            "content_sha256": self.model.content_hash,
            "calibrated": self.is_calibrated,
            "labels": dict(self.mapping),
            "never_found": sorted({look.condition for look in looks} - meant),
            "images": len(looks),
            "failed": len(looks) - len(answered),
            "right": right,
            "trained_on_left_out": left_out,
            "looks": [look.record() for look in looks],
        }


def choose_images(
    benchmark: Benchmark, data: Any, finder: Finder, count: int, seed: int, take_seen: bool = False
) -> tuple[list[tuple[str, str, ImageCase]], int]:
    """The images that the classifier is shown: (topic, condition, image).

    Topics with an image of their own have that one; the others get up to ``count`` of a dataset, chosen by
    the hash of seed and id, so that another condition's images do not change them. Images that the classifier
    was trained on are left out: findings on them would be better than on new ones.

    Args:
        benchmark: whose topics.
        data: a Dataset of images whose class is known; None if there is none.
        finder: the classifier; its labels, too, may be the names of classes.
        count: images for each condition.
        seed: of the choice.
        take_seen: take images of its training all the same.

    Returns:
        The images, and how many were left out because the classifier was trained on them.

    Raises:
        UsageError: a class that is neither condition nor label; nothing to show; only images of its training.
    """
    folder = benchmark.path.parent
    chosen = [
        (topic.id, topic.condition, ImageCase(topic.image, topic.image, folder / topic.image))
        for topic in benchmark.topics
        if topic.image is not None
    ]
    if data is None:
        return chosen, 0
    by_condition: dict[str, list[ImageCase]] = {topic.condition: [] for topic in benchmark.topics}
    left_out = 0
    for case in data.images():
        condition = _condition(case, benchmark, finder)
        if condition not in by_condition:
            continue
        if case.id in finder.seen and not take_seen:
            left_out += 1
        else:
            by_condition[condition].append(case)
    for topic in benchmark.topics:
        if topic.image is None:
            ranked = sorted(by_condition[topic.condition], key=lambda case: _order(seed, case.id))
            chosen += [(topic.id, topic.condition, case) for case in ranked[:count]]
    if not chosen:
        why = f"; {left_out} are of its training, which --seen takes too" if left_out else ""
        raise UsageError(f"{data.name}: no image of {', '.join(by_condition)} to show{why}")
    return chosen, left_out


def _order(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}\0{name}".encode("utf-8", "surrogateescape")).hexdigest()


def _condition(case: ImageCase, benchmark: Benchmark, finder: Finder) -> str:
    """What is true of an image; "" where no condition of the benchmark is."""
    name = case.fact("class")
    if name is None:
        raise UsageError(f"{os.fspath(case.path)}: its class is not known; a folder per class is expected")
    if name in benchmark.labels:
        return name
    if name in finder.mapping:
        return finder.mapping[name]
    raise UsageError(
        f"data: the class {name!r} is neither a condition ({', '.join(benchmark.labels)}) nor a label of the "
        f"classifier ({', '.join(finder.mapping)})"
    )
