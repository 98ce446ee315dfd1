"""Networks by name. A new architecture is one new module here, plus its line in ``NETWORKS``."""

from __future__ import annotations

import importlib
from typing import Any

from ...zoo.errors import UsageError

NETWORKS = {
    "cnn3d-seg": ("cnn3d_seg", "CNN3DSeg"),
    "resunet3d-seg": ("resunet3d_seg", "ResUNet3D"),
    "voxelwise3d-seg": ("voxelwise3d", "Voxelwise3D"),
    "cnn3d-cls": ("cnn3d_cls", "CNN3DCls"),
    "cnn3d-cls-gap": ("cnn3d_cls", "CNN3DClsGAP"),
    "mobilecoatnet": ("mobilecoatnet", "MobileCoAtNet"),
    "mobilecoatnet-lite0": ("mobilecoatnet_lite0", "MobileCoAtNetLite0"),
    "llava-nano": ("llava_nano", "NanoTrainee"),
}


def build(name: str, **options: Any) -> Any:
    """The untrained network ``name`` as a ``torch.nn.Module``.

    Args:
        name: a key of ``NETWORKS``.
        **options: what its constructor takes (see the module of the network).

    Raises:
        UsageError: no network of that name, or an option that it does not take.
    """
    if name not in NETWORKS:
        raise UsageError(f"no network named {name!r}; there are: {', '.join(sorted(NETWORKS))}")
    module, factory = NETWORKS[name]
    make = getattr(importlib.import_module(f".{module}", __name__), factory)
    try:
        return make(**options)
    except TypeError as error:
        raise UsageError(f"network {name!r} does not take these options: {error}") from error
