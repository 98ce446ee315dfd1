"""The contract of a language model: which questions it answers, in which words, about which images.

It stands as JSON under ``voxzoo.contract`` among the key-values of the TEXT model's GGUF, and names the
vision part that belongs to it, the mmproj, by file name and hash. Like every contract it is complete and
strict.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import PurePath, PureWindowsPath
from typing import Any

from ..rasterize.errors import InputError
from . import checks
from .contract import SCHEMA, as_part, check_keys, parse_object
from .errors import ContractError
from .specs import LicenceSpec, written
from .tasks.slices import SliceRule

__all__ = ["MmprojSpec", "PromptContract"]

TASK = "prompt"


@dataclass(frozen=True)
class MmprojSpec:
    """The vision part: its file's name, beside the text model, and the sha256 of the whole file."""

    file: str
    sha256: str

    def __post_init__(self) -> None:
        checks.string("mmproj.file", self.file)
        plain = PurePath(self.file).name == PureWindowsPath(self.file).name == self.file
        if not plain or self.file in (".", ".."):
            checks.fail("mmproj.file", self.file, "a file's name, without a folder")
        if not checks.is_sha256(self.sha256):
            checks.fail("mmproj.sha256", self.sha256, "64 lower-case hexadecimal digits")


@dataclass(frozen=True)
class PromptContract:
    """Everything voxzoo knows about a language model, as it stands in the model's own file.

    Attributes:
        name: zoo name, e.g. "llava-nano".
        version: of these weights.
        prompts: task -> name of the wording it was trained on: {"box": "brief"}.
        image: (H, W) pixels of the images it takes.
        slices: how a slice becomes such an image; WHICH slices are asked about is the evaluation's business.
        mmproj: its vision part.
        licence: of weights and training data.
        training: free facts (data, cases, recipe, seed, command, scores), JSON values only.
        content_sha256: of the text model's tensor section; "" until it is written.
        task: "prompt".
        schema: "voxzoo.contract/1".

    Raises:
        ContractError: a field of a wrong type or value, named.

    Example:
        >>> c = PromptContract(
        ...     name="toy", version="0.1", prompts={"box": "brief"}, image=(128, 128), slices=SliceRule(),
        ...     mmproj=MmprojSpec("toy-mmproj.gguf", "0" * 64),
        ...     licence=LicenceSpec("Apache-2.0", "none used", "confirmed"),
        ... )
        >>> PromptContract.from_json(c.to_json()) == c
        True
    """

    name: str
    version: str
    prompts: dict[str, str]
    image: tuple[int, int]
    slices: SliceRule
    mmproj: MmprojSpec
    licence: LicenceSpec
    training: dict[str, Any] = field(default_factory=dict)
    content_sha256: str = ""
    task: str = TASK
    schema: str = SCHEMA

    def __post_init__(self) -> None:
        checks.choice("schema", self.schema, (SCHEMA,))
        checks.choice("task", self.task, (TASK,))
        checks.string("name", self.name)
        checks.string("version", self.version)
        _check_prompts(self.prompts)
        checks.integers("image", self.image, 2)
        if self.image != tuple(self.slices.size):
            checks.fail("image", self.image, f"{tuple(self.slices.size)}, the size of slices")
        if self.content_sha256 != "" and not checks.is_sha256(self.content_sha256):
            checks.fail("content_sha256", self.content_sha256, "64 lower-case hexadecimal digits")
        checks.json_object("training", self.training)

    def to_dict(self) -> dict[str, Any]:
        """What ``to_json`` writes, as Python's dicts and lists; schema first."""
        return json.loads(self.to_json())

    def to_json(self) -> str:
        """The contract as JSON text, ``from_json``'s inverse; the same contract gives the same bytes."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        plain["slices"] = self.slices.record()
        plain.update({part: written(plain[part]) for part in ("mmproj", "licence")})
        head = {"schema": plain.pop("schema"), "name": self.name, "version": self.version, "task": self.task}
        return json.dumps({**head, **plain}, ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, source: str | bytes | Mapping[str, Any]) -> PromptContract:
        """Read a contract from JSON text or from a parsed object.

        Raises:
            ContractError: not JSON, or a field is missing, unknown, of a wrong type or value.
        """
        plain = parse_object(source)
        if plain.get("task", TASK) != TASK:
            checks.fail("task", plain["task"], f'"{TASK}": this is the contract of a model of another kind')
        check_keys("", plain, cls)
        image = plain["image"]
        parts: dict[str, Any] = {
            "image": tuple(image) if isinstance(image, list) else image,
            "slices": _rule(plain["slices"]),
            "mmproj": as_part("mmproj", MmprojSpec, plain["mmproj"]),
            "licence": as_part("licence", LicenceSpec, plain["licence"]),
        }
        return cls(**{**plain, **parts})

    def with_hash(self, content_sha256: str) -> PromptContract:
        """The same contract, belonging to the bytes with this hash."""
        return replace(self, content_sha256=content_sha256)


def _check_prompts(prompts: object) -> None:
    checks.json_object("prompts", prompts)
    if not isinstance(prompts, dict) or not prompts:
        checks.fail("prompts", prompts, "at least one task with the name of its wording")
    for task, wording in prompts.items():
        checks.string("prompts", task)
        checks.string(f"prompts.{task}", wording)


def _rule(plain: object) -> SliceRule:
    """A slice rule from its record."""
    if not isinstance(plain, Mapping):
        raise ContractError(f"contract field slices: got {plain!r}, expected a JSON object")
    given = {key: value for key, value in plain.items() if key != "uses_reference"}
    expected = [f.name for f in fields(SliceRule)]
    for wrong, what in ((set(given) - set(expected), "unknown"), (set(expected) - set(given), "missing")):
        if wrong:
            raise ContractError(f"contract field slices.{min(wrong)}: {what}")
    size = given["size"]
    given["size"] = tuple(size) if isinstance(size, list) else size
    checks.integers("slices.size", given["size"], 2)
    checks.integers("slices.margin", (given["margin"],), 1)
    for name in sorted(set(expected) - {"size", "margin"}):
        checks.string(f"slices.{name}", given[name])
    try:
        return SliceRule(**given)
    except InputError as error:
        raise ContractError(f"contract field slices: {error}") from error
