"""A residual U-Net for gliomas: whole tumour, tumour core and enhancing tumour, made to run on a CPU.

A strided stem leaves the input's grid at once, so that nearly all arithmetic happens on half the resolution
and below; a thin skip from the input can bring the edges back at the end. Residual blocks as in He et al.
2016 (arXiv 1512.03385), encoder and decoder as in Ronneberger et al. 2015 (arXiv 1505.04597), instance
normalisation and leaky units as in Isensee et al. 2021 (nnU-Net, doi 10.1038/s41592-020-01008-z).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ResUNet3D(nn.Module):
    """(N, C, D, H, W) images -> (N, K, D, H, W) logits, any D, H, W.

    Sizes that ``2 ** len(widths)`` does not divide are padded with zeros on both sides, which is what
    background is after normalisation, and cropped back.

    Args:
        in_channels: C.
        out_channels: K.
        widths: channels of each level, the first at half the input's resolution.
        blocks: residual blocks of each encoder level.
        edge: channels of the skip at the input's resolution; 0 leaves it out: the last level's features, at
            half the resolution, then say by themselves what each of their eight voxels is.
        dropout: share of the deepest features dropped while training.
        mirror: level whose features see their own mirror image across the middle of W, or None. Brains are
            nearly symmetric and gliomas are not, so what is bright on both sides is seldom tumour.

    Example:
        >>> net = ResUNet3D(widths=(8, 16), blocks=(1, 1))
        >>> net(torch.zeros(1, 4, 7, 8, 9)).shape
        torch.Size([1, 3, 7, 8, 9])
    """

    def __init__(
        self,
        in_channels: int = 4,
        out_channels: int = 3,
        widths: Sequence[int] = (32, 64, 96, 128),
        blocks: Sequence[int] = (1, 1, 2, 2),
        edge: int = 8,
        dropout: float = 0.1,
        mirror: int | None = 1,
    ) -> None:
        super().__init__()
        self.edge = nn.Conv3d(in_channels, edge, 3, padding=1) if edge else None
        self.stem = nn.Conv3d(in_channels, widths[0], 4, stride=2, padding=1)
        levels = zip(widths, [widths[0], *widths[:-1]], blocks, strict=True)
        self.down = nn.ModuleList(
            nn.Sequential(
                *(ResBlock(old if i == 0 else new, new, 2 if i == 0 and level else 1) for i in range(n))
            )
            for level, (new, old, n) in enumerate(levels)
        )
        self.mirrored = mirror
        self.mirror = nn.Identity() if mirror is None else Mirror(widths[mirror])
        self.dropout = nn.Dropout3d(dropout)
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose3d(deep, flat, 2, stride=2) for deep, flat in pairs)
        self.merge = nn.ModuleList(ResBlock(2 * flat, flat) for _, flat in pairs)
        self.last = nn.ConvTranspose3d(widths[0], edge or out_channels, 2, stride=2)
        self.head = nn.Conv3d(2 * edge, out_channels, 3, padding=1) if edge else None
        self.multiple = 2 ** len(widths)

    def forward(self, x: Tensor) -> Tensor:
        depth, height, width = x.shape[2:]
        m = self.multiple
        left, back, low = -width % m // 2, -height % m // 2, -depth % m // 2
        right, front, high = -width % m - left, -height % m - back, -depth % m - low
        x = F.pad(x, (left, right, back, front, low, high))
        y, skips = self.stem(x), []
        for index, level in enumerate(self.down):
            y = level(y)
            if index == self.mirrored:
                y = self.mirror(y)
            skips.append(y)
        y = self.dropout(skips.pop())
        for up, merge in zip(self.up, self.merge, strict=True):
            y = merge(torch.cat([up(y), skips.pop()], 1))
        y = self.last(y)
        if self.edge is not None and self.head is not None:
            y = self.head(F.leaky_relu(torch.cat([y, self.edge(x)], 1), SLOPE))
        return y[:, :, low : low + depth, back : back + height, left : left + width]


SLOPE = 0.01


class Mirror(nn.Module):
    """Add to each feature what a comparison with the other side of the head (axis W) says."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.compare = nn.Conv3d(2 * channels, channels, 3, padding=1)
        self.tell = nn.Conv3d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([x, torch.flip(x, (4,))], 1)
        return x + self.tell(F.leaky_relu(self.compare(both), SLOPE))


class ResBlock(nn.Module):
    """Two normalised 3x3x3 convolutions beside a shortcut; a stride halves the resolution."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv3d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.norm1 = nn.InstanceNorm3d(out_channels, affine=True)
        self.second = nn.Conv3d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.norm2 = nn.InstanceNorm3d(out_channels, affine=True)
        same = stride == 1 and in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv3d(in_channels, out_channels, 1, bias=False)
        self.pool = nn.Identity() if stride == 1 else nn.AvgPool3d(stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.norm1(self.first(x)), SLOPE)
        y = self.norm2(self.second(y))
        return F.leaky_relu(y + self.shortcut(self.pool(x)), SLOPE)
