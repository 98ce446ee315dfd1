"""Which models there are, how a name becomes a file, and how a file becomes a model that may be trusted.

``weights/registry.json`` lists the zoo: for each model its file, size, sha256, content hash, licence, where
it can be downloaded. Both hashes are checked at every load; a mismatch is an error.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import warnings
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from . import checks, gguffile, onnxfile, torchfile
from .contract import Contract, InputSpec
from .entries import GGUF, SUFFIX, WEIGHTS, Entry, Part, entries
from .entries import register as register
from .errors import ContractError, IntegrityError, ModelError, ModelNotFoundError, UsageError
from .ggufpair import open_pair
from .modelfile import KEY
from .sampling import Sampling

if TYPE_CHECKING:
    from .language import LanguageModel
    from .model import Model
    from .modelfile import ModelFile
    from .prompt_contract import PromptContract
    from .runtimes.base import Session

BASELINE_PREFIX = "baseline:"
_told: set[str] = set()


class ResearchOnlyWarning(UserWarning):
    """The weights were trained on research-only data: they are for research too. Said once a process."""


@dataclass(frozen=True)
class Resolved:
    """What a ``--model`` argument turned out to be.

    Attributes:
        how: printable: "bundled zoo model cnn3d-seg 1.0.0", "file ./mine.onnx", "built into voxzoo".
        path: the file; None for a built-in baseline.
        entry: its line in the registry, if it came from there.
        mmproj: the second file of a language model of the zoo.
    """

    how: str
    path: Path | None
    entry: Entry | None = None
    mmproj: Path | None = None


def names() -> tuple[str, ...]:
    """Every name that ``load`` knows, built-in baselines included.

    Example:
        >>> "baseline:flair-threshold" in names()
        True
    """
    from .runtimes.baseline import BASELINES

    return (*entries(), *(BASELINE_PREFIX + name for name in BASELINES))


def resolve(spec: str | os.PathLike[str]) -> Resolved:
    """Find what ``spec`` means; downloads it if it is a URL or a zoo model that is not bundled.

    Args:
        spec: "baseline:NAME"; an https URL (or http with ``#sha256=...``; https may have one too); a path; a
            zoo name with or without ``.onnx`` or ``.gguf``. An existing file wins over a zoo name.

    Raises:
        ModelNotFoundError: nothing of that kind; the message suggests and lists names.
        ModelError: a download failed, or the path is a folder.
        UsageError: a URL that cannot be trusted.

    Example:
        >>> resolve("baseline:flair-threshold").how
        'baseline built into voxzoo'
    """
    text = os.fspath(spec)
    if text.startswith(BASELINE_PREFIX):
        return Resolved("baseline built into voxzoo", None)
    if urlsplit(text).scheme in ("http", "https"):
        return _from_url(text)
    path, known = Path(text).expanduser(), entries()
    name = text.removesuffix(SUFFIX).removesuffix(GGUF)
    if path.is_dir() and name not in known:
        raise ModelError(f"{text}: is a folder; a model is an ONNX or GGUF file, or a name of the zoo")
    if path.is_file():
        note = " (the file wins over the zoo model of that name)" if name in known else ""
        return Resolved(f"file {text}{note}", path)
    if name in known:
        return _from_zoo(known[name])
    raise ModelNotFoundError(_not_found(text))


def verify(found: Resolved) -> ModelFile[Any]:
    """Read a model file and check it against the registry if it came from there.

    Of a language model with a contract its mmproj is checked too.

    Raises:
        IntegrityError: size or a hash disagrees.
        ModelError, ContractError: as ``onnxfile.inspect``.
    """
    if found.path is None:
        raise UsageError(f"{found.how}: there is no file to verify")
    try:
        file = _inspect(found.path, found.mmproj)
    except IntegrityError:
        raise
    except ModelError as error:
        if found.entry is None or found.path.stat().st_size == found.entry.bytes:
            raise
        raise IntegrityError(f"{error}; the registry expects {found.entry.bytes} bytes") from error
    if found.entry is not None:
        compare(file, found.entry)
    return file


def _inspect(path: Path, mmproj: Path | None) -> ModelFile[Any]:
    if torchfile.is_torchscript(path):
        return torchfile.inspect(path)
    if not gguffile.is_gguf(path):
        return onnxfile.inspect(path)
    file = gguffile.inspect(path)
    return open_pair(path, mmproj).text if KEY in file.metadata else file


def load(
    spec: str | os.PathLike[str],
    runtime: str = "auto",
    device: str = "auto",
    precision: str = "fp32",
    threads: int | None = None,
    contract: str | os.PathLike[str] | Contract | None = None,
    flips: str = "none",
    trust: bool = False,
    temperature: float = 0.0,
    seed: int = 0,
    cross_validated: bool = False,
) -> Any:
    """Load a model, verified, ready to be called.

    Args:
        spec: what ``resolve`` takes; of language models also what the module ``language`` lists.
        runtime: "auto" (the fastest installed), "onnxruntime", "openvino"; "torchscript" for such a file.
        device: "auto", "cpu", "cuda".
        precision: "fp32", "tf32", "bf16", "fp16": obtained exactly, or an error.
        threads: inside one call; default: the physical cores this process may use.
        contract: for a file that has none inside: a Contract, or the path of its JSON. It wins over one
            inside.
        flips: of models that segment: "none"; "lr" takes the mean of the probabilities over the input and
            its left-right mirror image, "all" over all eight mirror images. Each costs a run of the network.
        trust: run a TorchScript file that is not in the registry: it runs code of its own.
        temperature, seed: of language models: 0 gives the likeliest answer; above, answers are drawn.
        cross_validated: of a model that is the mean of folds: each of its training cases is answered by the
            fold that never saw it, see ``folds``.

    Returns:
        A ``model.Model``, or a ``language.LanguageModel``.

    Raises:
        ModelNotFoundError, ModelError, ContractError, IntegrityError: it cannot be found or trusted.
        DeviceError: device or precision are not to be had.
        MissingDependencyError: no runtime is installed.
        UsageError: an unknown word, flips or folds for a model that cannot have them, or TorchScript that
            was not asked for by name or is not trusted.

    Example:
        >>> import numpy as np
        >>> model = load("baseline:flair-threshold")
        >>> model(np.ones((1, 4, 5, 6)), spacing_mm=(1, 1, 1)).array.shape
        (4, 5, 6)
    """
    text = os.fspath(spec)
    if text.startswith(BASELINE_PREFIX):
        from .runtimes import baseline

        _no_flips(flips, text)
        _no_folds(cross_validated, text)
        return baseline.load(text.removeprefix(BASELINE_PREFIX), runtime, device, precision)
    from .language import is_language_model

    if is_language_model(text):
        _no_folds(cross_validated, text)
        return _load_language(
            text, flips, runtime, device, precision, threads, contract, Sampling(temperature, seed)
        )
    from .runtimes.base import open_session

    found = resolve(spec)
    file = verify(found)
    torchfile.check_trust(file, runtime, found.entry is not None, trust)
    how, agreed = _contract(found.how, file, contract)
    session = open_session(file.name, runtime, device, precision, threads)
    tell_terms(agreed)
    model = as_model(agreed, session, how, file.content_sha256, flips)
    if not cross_validated:
        return model
    from .folds import FoldsApart

    return FoldsApart.of(model, session)


def _load_language(text: str, flips: str, *options: Any) -> LanguageModel:
    from .language import load_language

    _no_flips(flips, text)
    model = load_language(text, *options)
    if model.contract is not None:
        tell_terms(model.contract)
    return model


def as_model(contract: Contract, session: Session, how: str, content_hash: str, flips: str = "none") -> Model:
    """What runs a contract's task."""
    if contract.task == "classify":
        from .classifier import ClassifierModel

        _no_flips(flips, contract.name)
        return ClassifierModel(contract, session, how, content_hash)
    if isinstance(contract.input, InputSpec) and contract.input.window == "sliding":
        from .sliding import SlidingModel

        return SlidingModel(contract, session, how, content_hash, flips)
    from .volume_model import VolumeModel

    return VolumeModel(contract, session, how, content_hash, flips)


def _no_folds(cross_validated: bool, name: str) -> None:
    if cross_validated:
        raise UsageError(f"cross_validated: {name} is not the mean of a cross-validation's folds")


def _no_flips(flips: str, name: str) -> None:
    if flips != "none":
        raise UsageError(f"flips {flips!r}: {name} is not a network that segments; leave flips at none")


def tell_terms(contract: Contract | PromptContract) -> None:
    """Warn, once a process and model, that weights are for research only."""
    if contract.licence.status == "research-only" and contract.name not in _told:
        _told.add(contract.name)
        warnings.warn(f"{contract.name}: {contract.licence.line}", ResearchOnlyWarning, stacklevel=3)


def compare(file: ModelFile[Any], entry: Entry) -> None:
    """Refuse a file that is not the one in the registry.

    Raises:
        IntegrityError: a hash disagrees.
    """
    for what, got, expected in (
        ("content hash", file.content_sha256, entry.content_sha256),
        ("sha256", file.sha256, entry.sha256),
    ):
        if got != expected:
            raise IntegrityError(
                f"{file.name}: {what} {got}, the registry says {expected}: install voxzoo again"
            )


def _contract(how: str, file: ModelFile[Contract], given: Any) -> tuple[str, Contract]:
    """(how the model was found, its contract): the one given, else the one inside."""
    if given is None:
        return how, file.contract()
    if isinstance(given, Contract):
        file.check(given)
        return f"{how}, with a contract given apart", given
    try:
        text = Path(given).expanduser().read_text(encoding="utf-8")
        contract = Contract.from_json(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"{given}: the contract cannot be read: {error}") from error
    except ContractError as error:
        raise ContractError(f"{given}: {error}") from error
    file.check(contract)
    return f"{how}, with the contract {os.fspath(given)}", contract


def is_local(entry: Entry) -> bool:
    """Whether the model's file is here: bundled, or downloaded before."""
    parts: list[Entry | Part] = [entry, *([entry.mmproj] if entry.mmproj else [])]
    return all((WEIGHTS / part.file).is_file() or _cached(part).is_file() for part in parts)


def _cached(part: Entry | Part) -> Path:
    from .download import cache_dir

    return cache_dir() / "models" / f"{part.sha256[:16]}-{part.file}"


def _from_zoo(entry: Entry) -> Resolved:
    path, how = _local(entry, entry.name)
    mmproj = _local(entry.mmproj, entry.name)[0] if entry.mmproj else None
    if not how:
        return Resolved(f"bundled zoo model {entry.name} {entry.version}", path, entry, mmproj)
    return Resolved(f"zoo model {entry.name} {entry.version}, {how}", path, entry, mmproj)


def _local(part: Entry | Part, name: str) -> tuple[Path, str]:
    """(a file of a model, fetched if need be; how it came here, "" if it is bundled)."""
    bundled, target = WEIGHTS / part.file, _cached(part)
    if bundled.is_file():
        return bundled, ""
    if not part.urls:
        raise ModelNotFoundError(f"{name}: its file {bundled} is gone: install voxzoo again")
    from .download import fetch

    new = fetch(part.urls[0], target, part.sha256)
    return target, f"downloaded from {part.urls[0]}" if new else "from the cache"


def _from_url(text: str) -> Resolved:
    from .download import cache_dir, fetch

    parts = urlsplit(text)
    url = urlunsplit(parts._replace(fragment=""))
    sha256 = _hash_in(text, parts.fragment)
    if parts.scheme == "http" and sha256 is None:
        raise UsageError(f"{text}: http can be tampered with: use https, or add #sha256=<64 digits>")
    key = hashlib.sha256(url.encode()).hexdigest()[:16]
    name = "".join(c for c in PurePosixPath(unquote(parts.path)).name if c.isalnum() or c in "._-")[-80:]
    target = cache_dir() / "urls" / f"{key}-{name or 'model'}"
    new = fetch(url, target, sha256)
    return Resolved(f"downloaded from {url}" if new else f"downloaded earlier from {url} ({target})", target)


def _hash_in(text: str, fragment: str) -> str | None:
    """The hash behind ``#sha256=``. A fragment that is something else is a slip that must not pass."""
    if not fragment:
        return None
    sha256 = fragment.removeprefix("sha256=").lower()
    if not fragment.startswith("sha256=") or not checks.is_sha256(sha256):
        raise UsageError(f"{text}: what follows # has to be sha256= and 64 hexadecimal digits")
    return sha256


def _not_found(text: str) -> str:
    known = names()
    close = difflib.get_close_matches(text.removesuffix(SUFFIX).lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{text}: neither a file nor a name in the zoo; {hint}The zoo has {', '.join(known)}"
