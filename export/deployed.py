"""The form in which a trained network is exported: what it gives is what a contract says."""

from __future__ import annotations

from torch import nn

from .ensemble import viewed
from .network import answer_shape
from .networks.cnn3d_cls import WithTwoLogits
from .networks.cnn3d_seg import WithSigmoid
from .recipe import Recipe


def deployed(recipe: Recipe, network: nn.Module) -> nn.Module:
    """Probabilities of regions, or one logit per class: over several views, if the recipe says so.

    Args:
        recipe: that it was trained by; not of a language model.
        network: trained.

    Example:
        >>> from voxzoo.export.networks import build
        >>> from voxzoo.export.recipe import load_recipe
        >>> type(deployed(load_recipe("cnn3d-seg"), build("cnn3d-seg"))).__name__
        'WithSigmoid'
    """
    if recipe.task == "segment":
        return WithSigmoid(network)
    network, spec = viewed(recipe, network), recipe.input
    shape = answer_shape(network, (2, len(spec.channels), *spec.shape), recipe.name)
    return WithTwoLogits(network) if shape == (2, 1) else network
