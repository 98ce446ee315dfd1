"""The contract: the facts that travel inside a model file, typed, strict, as JSON and back.

A contract says everything a stranger needs to run the model and to know what may be done with it: task,
input channels by name, grid or size, normalisation, what the output means, label names, licence, how it
was trained, and the hash of the bytes it belongs to. Unknown keys, missing keys, wrong types and wrong
values are refused with the name of the field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ..rasterize.errors import InputError
from . import checks
from .errors import ContractError
from .specs import LATER, ImageSpec, InputSpec, LicenceSpec, OutputSpec, written
from .tasks import segment

__all__ = ["SCHEMA", "TASKS", "Contract", "ImageSpec", "InputSpec", "LicenceSpec", "OutputSpec"]

SCHEMA = "voxzoo.contract/1"
TASKS = ("segment", "classify")
_KIND_OF = {"segment": 'regions or labels for the task "segment"', "classify": 'classes for "classify"'}
_PARTS = ("input", "output", "licence")
_OPTIONAL = ("training", "content_sha256", "attribution")


@dataclass(frozen=True)
class Contract:
    """Everything voxzoo knows about a model, as it stands in the model's own file.

    Attributes:
        name: zoo name, e.g. "cnn3d-seg".
        version: of these weights, e.g. "1.0.0".
        task: "segment" or "classify".
        input: what is fed.
        output: what comes out.
        labels: mask value -> name, background (0) left out; of a classifier index -> class, from 0.
        licence: of weights and training data.
        training: free facts (data, cases, recipe, seed, command, scores), JSON values only.
        content_sha256: hash of the model's bytes without their metadata; "" until it is written.
        schema: "voxzoo.contract/1".

    Example:
        >>> c = Contract(
        ...     name="toy", version="0.1", task="segment",
        ...     input=InputSpec("x", ("flair",), (8, 8, 8), (1.0, 1.0, 1.0)),
        ...     output=OutputSpec("y", "regions", ("wt",)),
        ...     labels={1: "whole_tumour"},
        ...     licence=LicenceSpec("Apache-2.0", "none used", "confirmed"),
        ... )
        >>> Contract.from_json(c.to_json()) == c
        True
    """

    name: str
    version: str
    task: str
    input: InputSpec | ImageSpec
    output: OutputSpec
    labels: dict[int, str]
    licence: LicenceSpec
    training: dict[str, Any] = field(default_factory=dict)
    content_sha256: str = ""
    schema: str = SCHEMA

    def __post_init__(self) -> None:
        checks.choice("schema", self.schema, (SCHEMA,))
        checks.string("name", self.name)
        checks.string("version", self.version)
        checks.choice("task", self.task, TASKS)
        if self.content_sha256 != "" and not checks.is_sha256(self.content_sha256):
            checks.fail("content_sha256", self.content_sha256, "64 lower-case hexadecimal digits")
        _check_labels(self.labels, lowest=0 if self.task == "classify" else 1)
        _check_output(self)
        checks.json_object("training", self.training)

    @property
    def regions(self) -> dict[str, tuple[int, ...]]:
        """Region name -> the mask values it is made of; none of a classifier."""
        if self.output.kind == "classes":
            return {}
        if self.output.kind == "regions":
            return segment.region_values(self.output.channels)
        return segment.regions_in(self.labels)

    def to_dict(self) -> dict[str, Any]:
        """What ``to_json`` writes, as Python's dicts and lists; schema first."""
        return json.loads(self.to_json())

    def to_json(self) -> str:
        """The contract as JSON text, ``from_json``'s inverse; the same contract gives the same bytes."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        plain.update({name: written(plain[name]) for name in _PARTS})
        return json.dumps({"schema": plain.pop("schema"), **plain}, ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, source: str | bytes | Mapping[str, Any]) -> Contract:
        """Read a contract from JSON text or from a parsed object.

        Raises:
            ContractError: not JSON, or a field is missing, unknown, of a wrong type or value.
        """
        plain = parse_object(source)
        check_keys("", plain, cls)
        parts: dict[str, Any] = {
            "input": as_part("input", _input_class(plain["input"]), plain["input"]),
            "output": as_part("output", OutputSpec, plain["output"]),
            "licence": as_part("licence", LicenceSpec, plain["licence"]),
            "labels": _labels_from_json(plain["labels"]),
        }
        return cls(**{**plain, **parts})

    def with_hash(self, content_sha256: str) -> Contract:
        """The same contract, belonging to the bytes with this hash."""
        return replace(self, content_sha256=content_sha256)


def parse_object(source: str | bytes | Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object from its text, or as it is.

    Raises:
        ContractError: not JSON, or no object.
    """
    if isinstance(source, Mapping):
        return dict(source)
    try:
        plain = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"the contract is not valid JSON: {error}") from error
    if not isinstance(plain, dict):
        raise ContractError(f"the contract is not a JSON object but a {type(plain).__name__}")
    return plain


def check_keys(where: str, plain: Mapping[str, Any], cls: type) -> None:
    """Refuse unknown keys, and missing ones: a contract in a file is complete, defaults included.

    Only what a hand-written contract cannot know, and what older files cannot, may be left out.
    """
    prefix = f"{where}." if where else ""
    expected = [f.name for f in fields(cls)]
    unknown = [str(key) for key in plain if key not in expected]
    missing = [key for key in expected if key not in plain and key not in _OPTIONAL + LATER]
    if unknown:
        raise ContractError(f"contract field {prefix}{unknown[0]}: unknown; known are {', '.join(expected)}")
    if missing:
        raise ContractError(f"contract field {prefix}{missing[0]}: missing")


def as_part(where: str, cls: type, plain: object) -> Any:
    """A part of a contract from its JSON object; lists become tuples.

    Raises:
        ContractError: no object, or its keys are not those of ``cls``.
    """
    if not isinstance(plain, Mapping):
        raise ContractError(f"contract field {where}: got {plain!r}, expected a JSON object")
    check_keys(where, plain, cls)
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()})


def _input_class(plain: object) -> type:
    """2-D images are told from volumes by their key ``resize``."""
    return ImageSpec if isinstance(plain, Mapping) and "resize" in plain else InputSpec


def _labels_from_json(plain: object) -> dict[int, str]:
    if not isinstance(plain, Mapping) or not all(re.fullmatch("[0-9]{1,3}", str(key)) for key in plain):
        raise ContractError(f'contract field labels: got {plain!r}, expected {{"1": "name", ...}}')
    return {int(key): name for key, name in plain.items()}


def _check_labels(labels: Mapping[int, str], lowest: int) -> None:
    if not isinstance(labels, Mapping) or not labels:
        checks.fail("labels", labels, "at least one value with a name")
    for value, name in labels.items():
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= 255:
            note = "" if lowest == 0 else " (0 is the background and has no entry)"
            checks.fail("labels", value, f"values from {lowest} to 255{note}")
        checks.string(f"labels.{value}", name)
    if len(set(labels.values())) != len(labels):
        checks.fail("labels", dict(labels), "distinct names")


def _check_output(contract: Contract) -> None:
    """Task, input, channels and labels have to speak of the same things."""
    output, labels = contract.output, contract.labels
    if (contract.task == "classify") != (output.kind == "classes"):
        checks.fail("output.kind", output.kind, _KIND_OF[contract.task])
    if output.kind == "classes":
        if dict(labels) != dict(enumerate(output.channels)):
            checks.fail("labels", dict(labels), f"the classes by index: {dict(enumerate(output.channels))}")
        if isinstance(contract.input, InputSpec) and contract.input.window != "whole":
            checks.fail("input.window", contract.input.window, '"whole": answers of windows make no class')
        return
    if isinstance(contract.input, ImageSpec):
        checks.fail("input", contract.input, "a volume: 2-D images are classified only")
    if output.kind == "labels":
        if set(output.channels) - {segment.BACKGROUND} != set(labels.values()):
            checks.fail("output.channels", output.channels, f"the names in labels: {tuple(labels.values())}")
        return
    try:
        expected = segment.region_labels(output.channels)
    except InputError as error:
        raise ContractError(f"contract field output.channels: {error}") from error
    if sorted(labels) != sorted(expected):
        checks.fail("labels", dict(labels), f"{expected}, which the regions {output.channels} make")
