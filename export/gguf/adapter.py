"""A PEFT adapter as it lies on disk: its tensors, gathered by the module that they change.

Only ``adapter_model.safetensors`` is read; a pickle is refused. Shapes are checked here as far as the adapter
alone can tell, and every value must be finite.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...zoo.download import hash_file
from ...zoo.errors import ModelError, ModelNotFoundError, UsageError
from ..safefile import SafeFile, refuse_pickle
from .peftconfig import PeftConfig, read_config

FILE = "adapter_model.safetensors"
_PICKLE = "adapter_model.bin"
_SLOTS = {
    "lora_A.weight": "a",
    "lora_B.weight": "b",
    "lora_B.bias": "b_bias",
    "lora_embedding_A.": "embedding_a",
    "lora_embedding_B.": "embedding_b",
    "lora_magnitude_vector.": "magnitude",
    "lora_magnitude_vector.weight": "magnitude",
}
_LORA = re.compile(
    r"(?P<module>.+)\.(?P<kind>lora_(?:A|B|embedding_A|embedding_B|magnitude_vector))"
    r"(?:\.(?!weight$|bias$)\w+)?(?:\.(?P<leaf>weight|bias))?"
)
_WHOLE = re.compile(
    r"(?P<module>.+?)(?P<copy>\.base_layer)?(?:\.modules_to_save(?:\.(?!weight$|bias$)\w+)?)?\.(?P<leaf>weight|bias)"
)


@dataclass
class Module:
    """What an adapter holds for one module of the base model.

    Attributes:
        name: in the Hugging Face model.
        keys: slot -> name in the file. Slots: a, b, b_bias, embedding_a, embedding_b, magnitude; weight and
            bias are whole new parameters (``modules_to_save``, trained biases); copy is the base model's own
            weight, which PEFT saves beside adapters of embeddings.
        rank: of its LoRA, 0 if it has none.
        scale: what B @ A is multiplied with, 0.0 if it has none.
    """

    name: str
    keys: dict[str, str] = field(default_factory=dict)
    rank: int = 0
    scale: float = 0.0

    @property
    def is_lora(self) -> bool:
        """Whether its weight gets a product of two small matrices added."""
        return self.rank > 0

    @property
    def on_embedding(self) -> bool:
        """Whether that product was trained on a table of embeddings."""
        return "embedding_a" in self.keys

    @property
    def factors(self) -> tuple[str, str]:
        """Names in the file of A and B."""
        prefix = "embedding_" if self.on_embedding else ""
        return self.keys[f"{prefix}a"], self.keys[f"{prefix}b"]


@dataclass(frozen=True)
class Adapter:
    """One adapter.

    Attributes:
        folder: where it lies.
        weight: how much of it is merged, 1.0 is all.
        config: its configuration.
        file: its tensors.
        modules: by name in the Hugging Face model.
        strangers: names in the file that fit no rule of PEFT's LoRA.
        sha256: of the file with the tensors.
    """

    folder: Path
    weight: float
    config: PeftConfig
    file: SafeFile
    modules: dict[str, Module]
    strangers: tuple[str, ...]
    sha256: str

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name


def read_adapter(folder: Path, weight: float = 1.0) -> Adapter:
    """Read the adapter in ``folder`` and check everything that needs no base model.

    Args:
        folder: as PEFT's ``save_pretrained`` wrote it.
        weight: finite, not 0.

    Raises:
        ModelNotFoundError: no adapter there.
        ModelError: a pickle, NaN or infinite values, halves of pairs, ranks that the configuration denies.
        IntegrityError: the file is cut short or damaged.
        UsageError: something that cannot be merged.
    """
    if not np.isfinite(weight) or weight == 0:
        raise UsageError(f"{folder}: a weight of {weight}; expected a number other than 0")
    config = read_config(folder)
    file = SafeFile(_tensors_in(folder))
    modules, strangers = gather(list(file.entries), str(file.path))
    for module in modules.values():
        _settle(module, file, config)
    for name in file.entries:
        if not all(np.isfinite(block).all() for block in file.blocks(name)):
            raise ModelError(f"{file.path}: {name} holds NaN or infinite values: the training went wrong")
    return Adapter(folder, weight, config, file, modules, strangers, hash_file(file.path))


def gather(names: list[str], where: str) -> tuple[dict[str, Module], tuple[str, ...]]:
    """Names of tensors by module; those that fit no rule are returned apart.

    Raises:
        ModelError: two tensors for one place.

    Example:
        >>> modules, strangers = gather(["base_model.model.lm_head.lora_A.weight", "x.prompt"], "here")
        >>> modules["lm_head"].keys, strangers
        ({'a': 'base_model.model.lm_head.lora_A.weight'}, ('x.prompt',))
    """
    modules: dict[str, Module] = {}
    strangers = []
    for name in names:
        module, slot = _parsed(name)
        if not slot:
            strangers.append(name)
            continue
        keys = modules.setdefault(module, Module(module)).keys
        if slot in keys:
            raise ModelError(f"{where}: {name} and {keys[slot]} are for the same place")
        keys[slot] = name
    return modules, tuple(strangers)


def _parsed(name: str) -> tuple[str, str]:
    """(module, slot) of a tensor's name; the slot is "" if it fits no rule."""
    plain = name.removeprefix("base_model.model.")
    if match := _LORA.fullmatch(plain):
        return match["module"], _SLOTS.get(f"{match['kind']}.{match['leaf'] or ''}", "")
    if "lora_" in plain or "token_adapter" in plain or "original_module" in plain:
        return plain, ""
    if match := _WHOLE.fullmatch(plain):
        is_copy = match["copy"] and match["leaf"] == "weight"
        return match["module"], "copy" if is_copy else match["leaf"]
    return plain, ""


def _tensors_in(folder: Path) -> Path:
    path = folder / FILE
    if not path.is_file() and (folder / _PICKLE).is_file():
        raise ModelError(
            f"{folder / _PICKLE}: a pickle, which would run code when read: load the adapter where it was "
            "trained and save it again with save_pretrained(..., safe_serialization=True)"
        )
    if not path.is_file():
        raise ModelNotFoundError(f"{folder}: no {FILE} there: not the folder of a PEFT adapter")
    refuse_pickle(path)
    return path


def _settle(module: Module, file: SafeFile, config: PeftConfig) -> None:
    """Rank and scale of a module, or what is wrong with its tensors."""
    missing = list(_unpaired(module))
    if missing:
        raise ModelError(f"{file.path}: {module.name} has {', '.join(module.keys)} but no {missing[0]}")
    if not ("b" in module.keys or "embedding_b" in module.keys):
        return
    a, b = (file.entries[key] for key in module.factors)
    rank = a.shape[0] if a.shape else 0
    expected = config.rank(module.name)
    if len(a.shape) < 2 or len(b.shape) < 2 or rank == 0 or b.shape[1] != rank:
        raise ModelError(
            f"{file.path}: {module.name} has A {a.shape} and B {b.shape}; expected (rank, in) and (out, rank)"
        )
    if rank != expected:
        raise ModelError(f"{file.path}: {module.name} has rank {rank}, its configuration says {expected}")
    if config.dora and "magnitude" not in module.keys:
        raise ModelError(f"{file.path}: {module.name} has no lora_magnitude_vector, and use_dora is set")
    module.rank, module.scale = rank, config.scale(module.name, rank)


def _unpaired(module: Module) -> Iterator[str]:
    """Slots that are missing beside the ones that are there."""
    for one, other in (("a", "b"), ("b", "a"), ("embedding_a", "embedding_b"), ("embedding_b", "embedding_a"),
                       ("b_bias", "b")):  # fmt: skip
        if one in module.keys and other not in module.keys:
            yield other
    if "magnitude" in module.keys and not {"b", "embedding_b"} & module.keys.keys():
        yield "b"
    if {"a", "embedding_a"} <= module.keys.keys():
        yield "single pair: both of a linear layer and of an embedding"
