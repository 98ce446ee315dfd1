"""A card and its model onto the Hugging Face Hub, in one commit; or exactly what that commit would hold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..eval.files import reason
from ..zoo import registry
from ..zoo.errors import ModelError, RunError, UsageError
from ..zoo.gguffile import GgufFile
from ..zoo.ggufpair import open_pair
from .build import EVAL_RESULTS, README
from .check import check
from .metadata import UNPUBLISHED

PICTURES = (".svg", ".png")


@dataclass(frozen=True)
class Upload:
    """One file of a push.

    Attributes:
        target: its path in the repository.
        source: on this machine.
        size: bytes.
        sha256: of them.
    """

    target: str
    source: Path
    size: int
    sha256: str


@dataclass(frozen=True)
class Plan:
    """All that a push does.

    Attributes:
        repo: "owner/name".
        endpoint: the Hub.
        uploads: every file, in the order of their targets.
        left_out: files of the card's folder that stay here, with the reason, a line each.
    """

    repo: str
    endpoint: str
    uploads: tuple[Upload, ...]
    left_out: tuple[str, ...]

    def lines(self) -> list[str]:
        """For a person: what goes where."""
        rows = [f"  {u.size:>12} bytes  {u.sha256}  {u.target}" for u in self.uploads]
        total = sum(u.size for u in self.uploads)
        head = f"to {self.endpoint}/{self.repo}, one commit of {len(rows)} files, {total} bytes:"
        return [head, *rows, *(f"  left out: {line}" for line in self.left_out)]


def plan(card: Path, repo: str, model: str | None = None, endpoint: str | None = None) -> Plan:
    """What a push would upload; nothing is sent and no network is used.

    Args:
        card: folder that ``zoo-card build`` wrote.
        repo: "owner/name".
        model: file, or name of the zoo, whose file goes along; None uploads the card alone.
        endpoint: of the Hub; default: that of huggingface_hub (``HF_ENDPOINT``).

    Raises:
        UsageError: no card there, one that is not valid, or a name that is no repository's.
        RunError: the card is about other weights than the model's.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UsageError(f"--repo: {' '.join(str(error).split())}") from error
    if "/" not in repo:
        raise UsageError(f"--repo: got {repo!r}, expected OWNER/NAME")
    report = check(card)
    if report.errors:
        raise UsageError(f"{report.source}: not a valid card: {report.errors[0]}")
    taken, left_out = _files(card)
    if model is not None:
        for file in _model_files(model, card):
            taken[file.name] = file
    uploads = tuple(_upload(target, source) for target, source in sorted(taken.items()))
    return Plan(repo, (endpoint or constants.ENDPOINT).rstrip("/"), uploads, left_out)


def push(what: Plan, message: str = "Model card", private: bool = False, revision: str | None = None) -> str:
    """Make the repository if need be, and upload in one commit.

    Args:
        what: from ``plan``.
        message: of the commit.
        private: of a repository that is made now.
        revision: branch; default: main.

    Returns:
        Address of the commit.

    Raises:
        ModelError: the Hub cannot be reached, or refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    # Errors of whichever HTTP client huggingface_hub uses: it changed twice.
    bases = [base for base in HfHubHTTPError.__bases__ if issubclass(base, Exception)]
    failures: tuple[type[Exception], ...] = (OSError, RuntimeError, ValueError, *bases)
    api = HfApi(endpoint=what.endpoint)
    operations = [CommitOperationAdd(u.target, str(u.source)) for u in what.uploads]
    try:
        api.create_repo(what.repo, private=private or None, exist_ok=True)
        done = api.create_commit(what.repo, operations, commit_message=message, revision=revision)
    except LocalTokenNotFoundError as error:
        raise ModelError(f"{what.endpoint}: no token: set HF_TOKEN, or run hf auth login") from error
    except HfHubHTTPError as error:
        raise ModelError(f"{what.endpoint}/{what.repo}: refused: {' '.join(str(error).split())}") from error
    except failures as error:
        raise ModelError(f"{what.endpoint}: the upload failed: {type(error).__name__} {error}") from error
    return str(done.commit_url)


def _files(card: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """(path in the repository -> file, what is left out and why)."""
    taken = {README: card / README}
    left_out = []
    for file in sorted(p for p in card.iterdir() if p.is_file() and p.name != README):
        if file.suffix.lower() in PICTURES:
            taken[file.name] = file
        else:
            left_out.append(f"{file.name} (no part of a card)")
    for file in sorted((card / EVAL_RESULTS).glob("*.yaml")):
        if file.name.startswith(f"{UNPUBLISHED}-"):
            left_out.append(f"{EVAL_RESULTS}/{file.name} (its dataset has no hub_id: it is not on the Hub)")
        else:
            taken[f"{EVAL_RESULTS}/{file.name}"] = file
    return taken, tuple(left_out)


def _model_files(model: str, card: Path) -> list[Path]:
    """The model's file, verified, and the one that the card is about, with its vision part."""
    found = registry.resolve(model)
    if found.path is None:
        raise UsageError(f"--model: {model!r} has no file to upload")
    file = registry.verify(found)
    stated = _hash_on(card / README)
    if stated and stated != file.sha256:
        raise RunError(
            f"{card / README}: is about a file with sha256 {stated}, {found.path} has {file.sha256}: "
            "build the card again"
        )
    if not isinstance(file, GgufFile):
        return [found.path]
    vision = open_pair(found.path, found.mmproj).mmproj
    return [found.path, *([Path(vision.name)] if vision is not None else [])]


def _hash_on(readme: Path) -> str:
    from huggingface_hub import ModelCard

    own: Any = ModelCard.load(readme).data.to_dict().get("voxzoo")
    return str(own.get("sha256", "")) if isinstance(own, dict) else ""


def _upload(target: str, source: Path) -> Upload:
    try:
        with source.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return Upload(target, source, source.stat().st_size, digest)
    except OSError as error:
        raise RunError(f"{source}: cannot be read ({reason(error)})") from error
