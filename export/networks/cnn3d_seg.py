"""The study's 3D segmenter: three convolutions down, two transposed ones up, 91,921 parameters.

Liu, Yoo, Khalvati 2025 (arXiv 2509.10683): conv 16, pool, conv 32, pool, conv 64, two transposed
convolutions (k 2, s 2) back to full resolution, conv 1, sigmoid. There are no skip connections, so what
the network knows of fine detail has to pass through one 64-channel voxel per 4x4x4 block.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 4


class CNN3DSeg(nn.Module):
    """(N, C, D, H, W) images -> (N, K, D, H, W) logits, any D, H, W.

    Sizes that 4 does not divide (the study's 95 slices) are padded with zeros, which is what background
    is after normalisation, and cropped back.

    Example:
        >>> net = CNN3DSeg()
        >>> sum(p.numel() for p in net.parameters())
        91921
        >>> net(torch.zeros(1, 4, 7, 8, 8)).shape
        torch.Size([1, 1, 7, 8, 8])
    """

    def __init__(self, in_channels: int = 4, out_channels: int = 1) -> None:
        super().__init__()
        self.down1 = nn.Conv3d(in_channels, 16, 3, padding=1)
        self.down2 = nn.Conv3d(16, 32, 3, padding=1)
        self.middle = nn.Conv3d(32, 64, 3, padding=1)
        self.up1 = nn.ConvTranspose3d(64, 32, 2, stride=2)
        self.up2 = nn.ConvTranspose3d(32, 16, 2, stride=2)
        self.head = nn.Conv3d(16, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        depth, height, width = x.shape[2:]
        x = F.pad(x, (0, -width % STRIDE, 0, -height % STRIDE, 0, -depth % STRIDE))
        x = F.max_pool3d(F.relu(self.down1(x)), 2)
        x = F.max_pool3d(F.relu(self.down2(x)), 2)
        x = F.relu(self.middle(x))
        x = F.relu(self.up1(x))
        x = F.relu(self.up2(x))
        return self.head(x)[:, :, :depth, :height, :width]


class WithSigmoid(nn.Module):
    """A network whose logits leave as probabilities: the form that is exported."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.network(x))
