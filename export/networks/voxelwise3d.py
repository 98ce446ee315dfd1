"""Each voxel by itself, from what lies around it and around its mirror image on the other side of the head.

A few thousand parameters, and nothing that could remember a patient: smoothed intensities at a few scales
(normalised convolution, Knutsson and Westin 1993, doi 10.1109/CVPR.1993.341081, so that air beside the brain
does not darken its rim), their mirror images across the middle of W, and a perceptron on every voxel. Brains
are nearly symmetric and gliomas are not, so what is bright on both sides is seldom tumour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class Voxelwise3D(nn.Module):
    """(N, C, D, H, W) images -> (N, K, D, H, W) logits, any D, H, W; ``OUTSIDE`` where all channels are 0.

    Args:
        in_channels: C.
        out_channels: K.
        widths: of the perceptron's hidden layers.
        scales: standard deviations of the Gaussians, in voxels; the image as it is comes first.

    Attributes:
        perceptron: (..., F) features -> (..., K) logits; it alone is learned.

    Example:
        >>> net = Voxelwise3D(widths=(8,), scales=(1.0,))
        >>> net(torch.zeros(1, 4, 7, 8, 9)).shape
        torch.Size([1, 3, 7, 8, 9])
    """

    def __init__(
        self,
        in_channels: int = 4,
        out_channels: int = 3,
        widths: Sequence[int] = (64, 32),
        scales: Sequence[float] = (1.0, 4.0),
    ) -> None:
        super().__init__()
        self.smooth = nn.ModuleList(Smooth(scale) for scale in scales)
        sizes = [2 * in_channels * (1 + len(scales)), *widths]
        hidden = [m for old, new in pairwise(sizes) for m in (nn.Linear(old, new), nn.ReLU())]
        self.perceptron = nn.Sequential(*hidden, nn.Linear(sizes[-1], out_channels))

    def forward(self, x: Tensor) -> Tensor:
        logits = self.perceptron(self.features(x).movedim(1, -1)).movedim(-1, 1)
        return torch.where(_brain(x), logits, OUTSIDE)

    def features(self, x: Tensor) -> Tensor:
        """(N, C, D, H, W) -> (N, 2 * scales * C, D, H, W): this side's, then the other side's.

        A side's are its channels as they are, then all of them at the first scale, and so on.
        """
        brain = _brain(x).to(x.dtype)
        near = torch.cat([x, *(smooth(x, brain) for smooth in self.smooth)], 1)
        return torch.cat([near, torch.flip(near, (4,))], 1)


def _brain(x: Tensor) -> Tensor:
    return (x != 0).any(1, keepdim=True)


class Smooth(nn.Module):
    """Gaussian means over the voxels of the brain alone, cut off at three standard deviations.

    Each axis is one product with a band matrix: volumes here are small, and runtimes multiply matrices
    faster than they run long, thin convolutions.

    Args:
        scale: standard deviation in voxels.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor, brain: Tensor) -> Tensor:
        """(N, C, D, H, W) images, 0 outside the (N, 1, D, H, W) brain -> the same shape."""
        means = torch.cat([x, brain], 1)
        depth, height, width = means.shape[2:]
        lines = torch.matmul(means.reshape(-1, width), self._band(width, x))
        planes = torch.matmul(self._band(height, x), lines.reshape(-1, height, width))
        boxes = torch.matmul(self._band(depth, x), planes.reshape(-1, depth, height * width))
        means = boxes.reshape(means.shape)
        # far outside both are almost 0; there the result is set to 0 anyway
        return brain * means[:, :-1] / means[:, -1:].clamp_min(0.02)

    def _band(self, size: int, like: Tensor) -> Tensor:
        """(size, size), symmetric: what each place takes from each."""
        at = torch.arange(size, device=like.device, dtype=torch.float32)
        apart = (at[:, None] - at) / self.scale
        weights = torch.exp(-0.5 * apart**2) * (apart.abs() <= REACH)
        reach = math.ceil(REACH * self.scale)
        whole = sum(math.exp(-0.5 * (k / self.scale) ** 2) for k in range(-reach, reach + 1))
        return (weights / whole).to(like.dtype)


#: The logit of what is no brain.
OUTSIDE = -12.0
#: Standard deviations at which a Gaussian is cut off.
REACH = 3.0
