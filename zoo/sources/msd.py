"""Medical Segmentation Decathlon folders: 4-D images, ``dataset.json`` says which channel and label is which.

Label *names* decide, never numbers: Task01_BrainTumour has edema as 1 and necrosis as 2, BraTS the reverse.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..cases import Case, ChannelSource, FileSource, Source
from ..errors import UsageError
from .brats import SUFFIXES, patient_of

__all__ = ["is_msd", "msd_cases", "read_description"]

MODALITY_NAMES = {**SUFFIXES, "t1w": "t1", "t1gd": "t1ce"}


def is_msd(folder: Path) -> bool:
    """Whether ``folder`` holds a ``dataset.json`` with a list of training cases."""
    path = folder / "dataset.json"
    return path.is_file() and isinstance(read_description(path).get("training"), list)


def read_description(path: Path) -> dict[str, Any]:
    """The content of ``dataset.json``.

    Raises:
        UsageError: it cannot be read or is no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: a JSON object was expected, got a {type(content).__name__}")
    return content


def msd_cases(folder: Path) -> list[Case]:
    """The training cases of an MSD folder, in the order of ``dataset.json``.

    Raises:
        UsageError: the description lacks its modalities or labels, or an entry has no image.
    """
    path = folder / "dataset.json"
    description = read_description(path)
    channels = _channels(path, description)
    labels = _labels(path, description)
    return [_case(folder, path, entry, channels, labels) for entry in description["training"]]


def _case(folder: Path, path: Path, entry: Any, channels: dict[int, str], labels: dict[int, int]) -> Case:
    if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
        raise UsageError(f'{path}: a training entry has to be {{"image": ..., "label": ...}}, got {entry!r}')
    image = folder / entry["image"]
    name = image.name.removesuffix(".gz").removesuffix(".nii")
    images: dict[str, Source] = {channel: ChannelSource(image, i) for i, channel in channels.items()}
    reference = FileSource(folder / entry["label"]) if entry.get("label") else None
    return Case(name, patient_of(name), images, reference, labels=labels)


def _numbered(path: Path, description: dict[str, Any], *keys: str) -> dict[int, str]:
    """{"0": "FLAIR"} or, as newer writers have it for labels, {"background": 0}, as {0: "FLAIR"}."""
    table = next((description[key] for key in keys if isinstance(description.get(key), dict)), None)
    if not table:
        raise UsageError(f'{path}: "{keys[0]}" is missing; {{"0": "name", ...}} was expected')
    try:
        return {int(k): str(v) for k, v in table.items()}
    except ValueError:
        pass
    try:
        return {int(v): str(k) for k, v in table.items()}
    except (TypeError, ValueError):
        raise UsageError(f'{path}: "{keys[0]}" has to map numbers to names, got {table}') from None


def _channels(path: Path, description: dict[str, Any]) -> dict[int, str]:
    names = _numbered(path, description, "modality", "channel_names")
    channels = {
        i: MODALITY_NAMES.get(name.strip().lower(), name.strip().lower()) for i, name in names.items()
    }
    if len(set(channels.values())) < len(channels):
        raise UsageError(f"{path}: two channels are the same modality: {names}")
    return channels


def _labels(path: Path, description: dict[str, Any]) -> dict[int, int]:
    """File label -> canonical label; labels with a name nobody knows are left out (and refused when met)."""
    names = _numbered(path, description, "labels")
    found = {value: _canonical_of(name) for value, name in names.items()}
    return {value: target for value, target in found.items() if target is not None}


def _canonical_of(name: str) -> int | None:
    """Canonical label by name; "non-enhancing" has to be asked for before "enhancing".

    Example:
        >>> [_canonical_of(n) for n in ("background", "edema", "non-enhancing tumor", "enhancing tumour")]
        [0, 2, 1, 3]
    """
    word = name.strip().lower().replace("_", "-").replace(" ", "-")
    if word == "background":
        return 0
    if "edema" in word or "oedema" in word or word == "ed":
        return 2
    if "necro" in word or word in ("ncr", "net", "ncr/net") or "non-enh" in word or "nonenh" in word:
        return 1
    return 3 if "enhanc" in word or word == "et" else None
