"""The two files of a llama.cpp model, the language model with the contract and its mmproj, checked together.

Where nothing is shown, a language model without a vision part is enough.

What llama.cpp cannot run, or runs wrongly, is refused here by its key-values, with the way that does work.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from . import gguffile
from .errors import ContractError, IntegrityError, ModelError, ModelNotFoundError
from .gguffile import GgufFile
from .modelfile import KEY
from .prompt_contract import PromptContract

__all__ = ["GgufPair", "open_pair", "split_pair"]

SUFFIX = ".gguf"


@dataclass(frozen=True)
class GgufPair:
    """A language model and its vision part.

    Attributes:
        text: the language model.
        mmproj: its vision part; None of a model that reads text only.
        contract: what it answers; None of a foreign model.
    """

    text: GgufFile
    mmproj: GgufFile | None
    contract: PromptContract | None

    @property
    def name(self) -> str:
        """Of the contract; else of the file."""
        return self.contract.name if self.contract else Path(self.text.name).stem

    @property
    def content_hash(self) -> str:
        """Over all that changes answers: weights, sizes, vocabulary, template of the text model; mmproj."""
        parts = [self.text.content_sha256, self.text.described_sha256]
        parts += [self.mmproj.sha256] if self.mmproj else []
        return sha256("\n".join(parts).encode()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of both files."""
        return self.text.size + (self.mmproj.size if self.mmproj else 0)


def split_pair(text: str) -> tuple[str, str | None]:
    """The two names in ``FILE.gguf+MMPROJ.gguf``.

    Example:
        >>> split_pair("a+b.gguf+m.gguf"), split_pair("llava-nano")
        (('a+b.gguf', 'm.gguf'), ('llava-nano', None))
    """
    at = text.lower().find(f"{SUFFIX}+")
    if at < 0 or Path(text).is_file():
        return text, None
    return text[: at + len(SUFFIX)], text[at + len(SUFFIX) + 1 :]


def open_pair(
    text: Path,
    mmproj: Path | None = None,
    contract: PromptContract | None = None,
    *,
    needs_images: bool = True,
) -> GgufPair:
    """Read both files and check that they belong together and can be run.

    Args:
        text: the language model's file.
        mmproj: the vision part's; default the one that the contract names, beside it.
        contract: instead of one inside.
        needs_images: False takes a foreign language model without an mmproj.

    Raises:
        ModelNotFoundError: a file that is not there.
        ContractError: no contract, and no mmproj given.
        IntegrityError: bytes that are not those of the contract.
        ModelError: swapped files, or a model that llama.cpp cannot run or runs wrongly.
    """
    language = gguffile.inspect(text)
    if language.is_mmproj:
        raise ModelError(
            f"{text}: is an mmproj, a vision part; give the language model: MODEL.gguf+MMPROJ.gguf"
        )
    _refuse_language(language)
    if contract is not None:
        language.check(contract)
    elif KEY in language.metadata:
        contract = language.contract()
    if not needs_images and mmproj is None and contract is None:
        return GgufPair(language, None, None)
    path = mmproj or _named(language, text, contract)
    vision = gguffile.inspect(path)
    if not vision.is_mmproj:
        raise ModelError(f"{path}: not an mmproj (its architecture is {vision.header.architecture!r})")
    if contract is not None and vision.sha256 != contract.mmproj.sha256:
        raise IntegrityError(
            f"{path}: has the sha256 {vision.sha256}, the contract of {contract.name} names "
            f"{contract.mmproj.sha256}: the mmproj of another model, or one that was changed"
        )
    _refuse_vision(vision)
    _check_widths(language, vision)
    return GgufPair(language, vision, contract)


def _named(language: GgufFile, text: Path, contract: PromptContract | None) -> Path:
    """The file that the contract names."""
    if contract is None:
        raise ContractError(
            f"{text}: no contract inside that names its mmproj; give both files: {text.name}+MMPROJ.gguf"
        )
    path = text.parent / contract.mmproj.file
    if not path.is_file():
        raise ModelNotFoundError(
            f"{path}: no such file: the mmproj that the contract of {contract.name} names; put it there, or "
            f"give {text.name}+MMPROJ.gguf"
        )
    return path


def _refuse_language(file: GgufFile) -> None:
    if file.header.architecture == "mllama":
        raise ModelError(
            f"{file.name}: mllama (Llama-3.2-Vision) has no llama.cpp runtime: use transformers:PATH"
        )


def _refuse_vision(file: GgufFile) -> None:
    """CLIP towers: llama.cpp puts the class token last (ggml-org/llama.cpp #25814)."""
    projector = file.header.get("clip.projector_type", file.header.get("clip.vision.projector_type"))
    if "v.class_embd" in file.header.tensors and projector == "mlp":
        raise ModelError(
            f"{file.name}: a CLIP tower with a class token, which llama.cpp computes wrongly: use a model "
            "with a SigLIP tower, or transformers:PATH"
        )


def _check_widths(language: GgufFile, vision: GgufFile) -> None:
    """An MLP projector ends in the width of the language model's embeddings."""
    header = language.header
    width = header.get(f"{header.architecture}.embedding_length")
    out = vision.header.tensors.get("mm.2.weight")
    if out is not None and isinstance(width, int) and out.shape[-1:] != (width,):
        raise ModelError(
            f"{vision.name}: projects to {out.shape[-1]} numbers, {language.name} takes {width}: the mmproj "
            "of another model"
        )
