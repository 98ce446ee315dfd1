"""The rules by which answers become figures; every rule an option, three named sets of them.

=============  =====================  ==================================================================
option         values                 what it decides
=============  =====================  ==================================================================
``parser``     strict, lenient        what counts as an answer (``zoo/tasks``)
``vote``       author                 most votes of low, high, none, unparsed (ties: the first); a patient
                                      whose winner is none or unparsed is left out, and counted
               two-class              most votes of low and high (tie: low); other votes do not count
               abstain-wrong          as author, but a winner none or unparsed is an error
``no_slices``  drop, low, wrong       a patient without slices is left out, called low, an error (grade)
``slices``     all, core20, tumour    which recorded slices count: all; the plane's tumour without 20
                                      slices at each end; those inside the plane's tumour
``empty``      see ``eval/empty.py``  a distance where one mask is empty, in pixels
``unanswered`` skip, miss             a slice without an answer is left out, or is an empty prediction
``pooling``    slice, volume          boxes and polygons: per slice, then patient; or all slices of a patient
                                      stacked into one 3-D mask, in which an unanswered slice is empty
``quirks``     names of ``QUIRKS``    what the study did besides
``assumed``    patient -> low, high   grades from elsewhere (a figure of the publication, say) of patients of
                                      whom nothing is recorded; they enter the confusion matrix, not the AUC
=============  =====================  ==================================================================

A patient who had slices to ask about but of whom nothing is recorded is left out under every protocol and
named (``not_recorded``): a gap of the record says nothing about the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from ...zoo.errors import UsageError
from ..empty import parse_empty

TASKS = ("grade", "center", "box", "polygon")
VALUES: dict[str, tuple[str, ...]] = {
    "parser": ("strict", "lenient"),
    "vote": ("author", "two-class", "abstain-wrong"),
    "no_slices": ("drop", "low", "wrong"),
    "slices": ("all", "core20", "tumour"),
    "unanswered": ("skip", "miss"),
    "pooling": ("slice", "volume"),
}
QUIRKS: dict[str, str] = {
    "quoted-reference": "box, center, polygon: the reference is what the transcript quotes, if it does",
    "stale-reference": "box: where nothing is quoted, the last reference that was scored, of any patient",
    "half-open-box": "box: drawn as array[min:max+1], so a negative minimum counts from the far side",
    "row-edges": "box: distances run between pixels where numpy.gradient along the rows is not 0, and the "
    "figure is the 95th percentile of the two directed maxima",
    "edge-lines": "center: distance to the nearest edge line of the box, also from inside it",
    "rounded": "center: a patient's figures are rounded to 4 decimals",
    "first-15": "polygon: points after the fifteenth are left out",
    "few-points": "polygon: one or two points are drawn too",
    "all-voxels": "polygon: the distance is the largest of any voxel to the other mask, not a percentile of "
    "the surfaces",
    "no-slices-zero": "polygon: a patient without slices scores 0 (and the penalty), and is averaged",
}
"""What the study did besides, by name."""

_BOX = ("quoted-reference", "stale-reference", "half-open-box", "row-edges")
_PAPER: dict[str, dict[str, Any]] = {
    "grade": {},
    "center": {"quirks": ("quoted-reference", "edge-lines", "rounded")},
    "box": {"quirks": _BOX},
    "polygon": {
        "pooling": "volume",
        "quirks": ("quoted-reference", "first-15", "few-points", "all-voxels", "no-slices-zero"),
    },
}
NAMES = ("paper", "answered", "all")
DEFAULT = "all"
STUDY_PENALTY_PX = 128.0


@dataclass(frozen=True)
class Protocol:
    """The rules of one scoring; see the module.

    Attributes:
        name: "paper", "answered", "all", or one of these with "+" where options were changed.
        parser, vote, no_slices, slices, empty, unanswered, pooling, quirks, assumed: see the module.

    Raises:
        UsageError: a value that is none of those listed.

    Example:
        >>> Protocol(parser="lax")
        Traceback (most recent call last):
        ...
        voxzoo.zoo.errors.UsageError: parser: got 'lax', expected strict or lenient
    """

    name: str = "custom"
    parser: str = "lenient"
    vote: str = "abstain-wrong"
    no_slices: str = "wrong"
    slices: str = "all"
    empty: str | float = "penalty"
    unanswered: str = "miss"
    pooling: str = "slice"
    quirks: tuple[str, ...] = ()
    assumed: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for option, allowed in VALUES.items():
            if getattr(self, option) not in allowed:
                got, last = getattr(self, option), allowed[-1]
                raise UsageError(f"{option}: got {got!r}, expected {', '.join(allowed[:-1])} or {last}")
        if isinstance(self.quirks, str):
            raise UsageError(f"quirks: got the text {self.quirks!r}, expected a list of names")
        unknown = [quirk for quirk in self.quirks if quirk not in QUIRKS]
        if unknown:
            raise UsageError(f"quirks: {unknown[0]!r} is none of {', '.join(QUIRKS)}")
        if not set(self.assumed.values()) <= {"low", "high"}:
            raise UsageError(f"assumed: got {dict(self.assumed)!r}, expected patient -> low or high")
        object.__setattr__(self, "empty", parse_empty(self.empty))
        object.__setattr__(self, "quirks", tuple(self.quirks))

    def has(self, quirk: str) -> bool:
        """Whether a quirk is part of these rules."""
        return quirk in self.quirks

    def with_options(self, options: Mapping[str, Any]) -> Protocol:
        """These rules with some changed; None leaves an option as it is.

        Raises:
            UsageError: a name that is no option, or a value that cannot be.

        Example:
            >>> named("paper", "grade").with_options({"slices": "core20", "vote": None}).name
            'paper+slices=core20'
        """
        changed = {n: v for n, v in options.items() if v is not None}
        known = [f.name for f in fields(self) if f.name != "name"]
        unknown = [name for name in changed if name not in known]
        if unknown:
            raise UsageError(f"unknown rule {unknown[0]!r}: expected some of {', '.join(known)}")
        new = replace(self, **changed)
        different = [n for n in known if getattr(new, n) != getattr(self, n)]
        shown = [f"{n}={_shown(getattr(new, n))}" for n in different]
        return replace(new, name="+".join([self.name, *shown]))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, for results and cache keys; ``assumed`` only where anything is."""
        plain = {**asdict(self), "quirks": list(self.quirks), "assumed": dict(self.assumed)}
        return {name: value for name, value in plain.items() if name != "assumed" or value}


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{patient}:{grade}" for patient, grade in value.items())
    return ",".join(value) if isinstance(value, tuple) else str(value)


def named(name: str, task: str, **options: Any) -> Protocol:
    """One of the three named protocols for a task, with options changed.

    ``paper`` reproduces the study to its last digit. ``answered`` is its correct counterpart: unanswered
    slices and patients without slices are left out, and counted. ``all`` counts an unanswered slice as a
    miss and a patient without slices as an error; it is the one to compare models by.

    Args:
        name: "paper", "answered" or "all".
        task: decides which quirks and which pooling the paper had; a task of one's own has none.
        **options: see the module; None leaves an option as it is.

    Raises:
        UsageError: another name, or options that cannot be.

    Example:
        >>> named("paper", "polygon").pooling, named("all", "polygon").pooling
        ('volume', 'slice')
    """
    if name == "paper":
        rules = {"parser": "strict", "vote": "author", "no_slices": "drop", "empty": STUDY_PENALTY_PX}
        base = Protocol(name, **{**rules, "unanswered": "skip", **_PAPER.get(task, {})})
    elif name == "answered":
        base = Protocol(name, vote="two-class", no_slices="drop", unanswered="skip")
    elif name == "all":
        base = Protocol(name)
    else:
        raise UsageError(f"protocol {name!r}: expected one of {', '.join(NAMES)}")
    return base.with_options(options)


def side_by_side(name: str, task: str, options: Mapping[str, Any]) -> dict[str, Protocol]:
    """All three protocols: the one asked for with all its options, the others as named.

    Which slices are asked about and what an empty mask costs say what is measured, so the others follow in
    that, but for the penalty of ``paper``, which is part of the publication.

    Example:
        >>> rules = side_by_side("all", "box", {"empty": 64, "parser": "strict"})
        >>> [(name, rule.parser, rule.empty) for name, rule in rules.items()]
        [('paper', 'strict', 128.0), ('answered', 'lenient', 64.0), ('all', 'strict', 64.0)]
    """
    found = {}
    for each in NAMES:
        kept = {n: v for n, v in options.items() if n == "slices" or (n == "empty" and each != "paper")}
        found[each] = named(each, task, **(options if each == name else kept))
    if name not in found:
        raise UsageError(f"protocol {name!r}: expected one of {', '.join(NAMES)}")
    return found
