"""LoRA adapters into a GGUF pair: read, plan, write both files, put them in place together.

Nothing native sees the adapter, nothing is written before the whole plan stands, and the merged files appear
under their names only when both are whole.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...eval.files import prepare_folder, reason
from ...zoo import gguffile, modelfile
from ...zoo.download import hash_file
from ...zoo.errors import IntegrityError, RunError, UsageError
from ...zoo.ggufheader import GgufHeader
from ...zoo.prompt_contract import PromptContract
from . import kquants, provenance
from .adapter import Adapter
from .change import Change
from .mix import FILE_TYPE, Mix, check_mix, tower_type
from .pair import Pair
from .plan import Plan, make_plan
from .rewrite import Effect, Output, entry, rewrite

_FORMAT_IN_NAME = re.compile(r"[-._](f32|f16|bf16|i?q\d\w*)$", re.IGNORECASE)
_SLACK = 8 << 20


@dataclass(frozen=True)
class Merged:
    """What a merge wrote.

    Attributes:
        text: the merged text model.
        mmproj: its vision part; None if there was none.
        effects: what became of every tensor that changed.
        contract: of the merged model; None if the base had none.
    """

    text: Path
    mmproj: Path | None
    effects: tuple[Effect, ...]
    contract: PromptContract | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Merge:
    """A merge that is ready to be written.

    Attributes:
        pair: the base.
        adapters: in the order in which they act.
        plan: checked.
        type: "keep", "f16", "q8_0" or "q4_k_m".
    """

    pair: Pair
    adapters: tuple[Adapter, ...]
    plan: Plan
    type: str = "keep"

    def write(self, folder: Path) -> Merged:
        """Write the merged pair into ``folder``.

        Raises:
            UsageError: a file is in the way, or a format cannot be written.
            RunError: the folder cannot be written, or its disk is too small; nothing is left there then.
            ModelError, IntegrityError: the base or an adapter is damaged, or what comes out is not finite.
        """
        check_mix(self.type)
        self.plan.check()
        contract = contract_of(self.pair)
        text, mmproj = self._outputs("text"), self._outputs("mmproj")
        targets = self._targets(folder)
        is_new = not folder.exists()
        try:
            prepare_folder(folder)
            _check_room(folder, [*text, *mmproj])
            with tempfile.TemporaryDirectory(
                prefix=".merge.", dir=folder, ignore_cleanup_errors=True
            ) as scratch:
                made = [Path(scratch) / target.name for target in targets]
                effects = self._write_mmproj(mmproj, made[1]) if self.pair.mmproj else []
                effects += self._write_text(text, made[0])
                signed = self._sign(contract, made)
                _place(made, targets)
        except BaseException:
            if is_new and folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
            raise
        return Merged(targets[0], targets[1] if self.pair.mmproj else None, tuple(effects), signed)

    def _outputs(self, part: str) -> list[Output]:
        """Every tensor of the part's new file, in the base's order, new ones last."""
        header = self.pair.text if part == "text" else self.pair.mmproj
        if header is None:
            return []
        changes = self.plan.text if part == "text" else self.plan.mmproj
        same = {name: Change(name, tensor, ()) for name, tensor in header.tensors.items()}
        tied = "output.weight" not in {**same, **changes}
        mix = Mix(self.type if part == "text" else tower_type(self.type), self.pair.blocks, tied)
        outputs = []
        for name, change in {**same, **changes}.items():
            format = mix.format_of(name, change.source.shape, change.source.type_name)
            outputs.append(Output(change, format))
            if change.steps or format != change.source.type_name:
                _check_formats(name, change.source.type_name, format)
        return outputs

    def _write_text(self, outputs: list[Output], target: Path) -> list[Effect]:
        entries = self._entries(self.pair.text, self.type)
        if self.pair.text.get(modelfile.KEY) is not None:
            entries[modelfile.KEY] = None  # it would belong to other bytes; written anew when these stand
        return rewrite(self.pair.text, outputs, entries, target)

    def _write_mmproj(self, outputs: list[Output], target: Path) -> list[Effect]:
        header = self.pair.mmproj
        if header is None:
            return []
        changed = self.plan.mmproj or any(o.format != o.change.source.type_name for o in outputs)
        if not changed:
            _copy(Path(header.name), target)
            return []
        return rewrite(header, outputs, self._entries(header, tower_type(self.type)), target)

    def _entries(self, header: GgufHeader, type: str) -> dict[str, bytes | None]:
        text = provenance.describe(header, self.adapters, self.plan, self.type)
        entries: dict[str, bytes | None] = {provenance.KEY: entry(provenance.KEY, text)}
        if type in FILE_TYPE:
            entries["general.file_type"] = entry("general.file_type", FILE_TYPE[type])
        return entries

    def _sign(self, contract: PromptContract | None, made: list[Path]) -> PromptContract | None:
        """The contract of the merged model, into its text file."""
        if contract is None or self.pair.mmproj is None:
            return None
        names = "+".join(adapter.name for adapter in self.adapters)
        training: dict[str, Any] = {**contract.training, "merged": names}
        mmproj = replace(contract.mmproj, file=made[1].name, sha256=hash_file(made[1]))
        changed = replace(contract, version=f"{contract.version}+{names}", training=training, mmproj=mmproj)
        return gguffile.with_contract(made[0], changed, made[0])

    def _targets(self, folder: Path) -> list[Path]:
        """Where the files go: named like the base's, with another format if there is one."""
        headers = [self.pair.text] + ([self.pair.mmproj] if self.pair.mmproj else [])
        types = [self.type, tower_type(self.type)]
        targets = [
            folder / _renamed(Path(h.name).name, type) for h, type in zip(headers, types, strict=False)
        ]
        if len(set(targets)) < len(targets):
            raise UsageError(f"text model and mmproj are both called {targets[0].name}: rename one of them")
        for target in targets:
            if target.exists():
                raise UsageError(f"{target} is there already: give another --out")
        return targets


def contract_of(pair: Pair) -> PromptContract | None:
    """The base's contract, checked against the files; None if it has none.

    Raises:
        ContractError, IntegrityError: it is not valid, or belongs to other files.
        UsageError: it names a vision part, and none was given.
    """
    if pair.text.get(modelfile.KEY) is None:
        return None
    contract = gguffile.inspect(pair.text.name).contract()
    if pair.mmproj is None:
        raise UsageError(
            f"{pair.text.name}: its contract names {contract.mmproj.file}: give that with --mmproj"
        )
    if hash_file(Path(pair.mmproj.name)) != contract.mmproj.sha256:
        raise IntegrityError(
            f"{pair.mmproj.name}: not the vision part that the contract in {pair.text.name} names"
        )
    return contract


def _check_formats(name: str, before: str, after: str) -> None:
    """Refuse formats that cannot be read or written before anything is."""
    for format in {before, after}:
        try:
            kquants.check_type(format)
        except UsageError as error:
            raise UsageError(f"{name} is {before}, which cannot be merged into: {error}") from error


def _renamed(name: str, type: str) -> str:
    if type == "keep":
        return name
    stem = name.removesuffix(".gguf")
    return f"{_FORMAT_IN_NAME.sub('', stem)}-{type}.gguf"


def _check_room(folder: Path, outputs: Sequence[Output]) -> None:
    """Refuse early what cannot fit; a disk that fills up later is caught where it is written."""
    needed = sum(output.size for output in outputs) + _SLACK
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RunError(
            f"{folder}: {needed / 2**20:.0f} MiB needed, {free / 2**20:.0f} MiB left on this disk; make room "
            "or give another folder with --out"
        )


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise RunError(f"{target}: cannot be written ({reason(error)}); nothing was kept") from error


def _place(made: list[Path], targets: list[Path]) -> None:
    """Give the finished files their names, all of them or none."""
    try:
        for path in made:
            with path.open("rb") as file:
                os.fsync(file.fileno())
        for path, target in zip(made, targets, strict=True):
            os.replace(path, target)
    except OSError as error:
        for target in targets:
            target.unlink(missing_ok=True)
        raise RunError(
            f"{targets[0].parent}: cannot be written ({reason(error)}); nothing was kept"
        ) from error


def prepare(pair: Pair, adapters: Sequence[Adapter], type: str = "keep") -> Merge:
    """Plan a merge; nothing is written.

    Args:
        pair: as ``open_pair`` gave it.
        adapters: as ``read_adapter`` gave them.
        type: format of the merged text model; "keep" for each tensor's own.

    Raises:
        UsageError: an unknown type, an adapter that is in the base already, or of a model without GGUF.
        VoxzooError: a damaged file.
    """
    kind = check_mix(type)
    provenance.refuse_twice(pair, adapters)
    return Merge(pair, tuple(adapters), make_plan(pair, adapters), kind)
