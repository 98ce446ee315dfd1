"""Several networks as one: the mean of the probabilities of a cross-validation's folds, in a single file."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class MeanOfSegmenters(nn.Module):
    """(N, C, D, H, W) images -> (N, K, D, H, W) mean of the networks' probabilities.

    Args:
        networks: of one shape; each gives logits.

    Example:
        >>> one, two = nn.Conv3d(1, 1, 1), nn.Conv3d(1, 1, 1)
        >>> x = torch.randn(1, 1, 2, 2, 2)
        >>> mean = (torch.sigmoid(one(x)) + torch.sigmoid(two(x))) / 2
        >>> torch.allclose(MeanOfSegmenters([one, two])(x), mean)
        True
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        total = torch.sigmoid(self.networks[0](x))
        for network in list(self.networks)[1:]:
            total = total + torch.sigmoid(network(x))
        return total / len(self.networks)
