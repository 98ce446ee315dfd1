"""MobileCoAtNet on the inverted residuals of EfficientNet-Lite0, so that published weights can begin it. 2-D.

A few hundred images teach a network from nothing little; one that has seen a million other pictures learns
more from them. The first six of seven stages are therefore EfficientNet-Lite0's own (Tan & Le 2019, arXiv
1905.11946, without squeeze-and-excitation and with ReLU6): MobileNetV2's inverted residuals, depthwise
kernels of 3 and 5, down to a 32nd of the resolution. Relative self-attention comes last, as in
:mod:`.mobilecoatnet`, in place of Lite0's last block and its wide head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from ...zoo.errors import UsageError
from .mobilecoatnet import AttentionBlock, DropPath, halved

#: (channels, depthwise kernel, stride, expansion) of each of Lite0's blocks but the last.
BLOCKS = (
    (16, 3, 1, 1),
    *((24, 3, 2, 6), (24, 3, 1, 6)),
    *((40, 5, 2, 6), (40, 5, 1, 6)),
    *((80, 3, 2, 6), (80, 3, 1, 6), (80, 3, 1, 6)),
    *((112, 5, 1, 6), (112, 5, 1, 6), (112, 5, 1, 6)),
    *((192, 5, 2, 6), (192, 5, 1, 6), (192, 5, 1, 6), (192, 5, 1, 6)),
)
STEM = 32
HALVINGS = 1 + sum(stride == 2 for _, _, stride, _ in BLOCKS)
EPSILON = 1e-3
#: Lite0's names of what a block holds, in this order, and ours.
_PARTS = ("_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2")


class MobileCoAtNetLite0(nn.Module):
    """(N, C, H, W) images, -1 to 1 ("unit") -> (N, K) logits.

    Attention learns one bias per head and offset on the token grid of ``size``; on any other H and W the
    table of biases is resampled, so every size works and ``size`` works best.

    Args:
        in_channels: C: 3 for red, green and blue, or 1 for grey, which the network sees as all three.
        out_channels: K, the classes.
        size: (H, W) that the network is trained on, in pixels.
        attention: blocks of attention; each begins as the identity.
        dropout: share of the pooled features dropped while training.
        drop_path: chance, while training, that an image skips a residual branch; it grows linearly from 0
            at the first block to this at the last.

    Raises:
        UsageError: another number of channels.

    Example:
        >>> import torch
        >>> net = MobileCoAtNetLite0(out_channels=3, size=(64, 64), attention=1).eval()
        >>> net(torch.zeros(2, 3, 64, 64)).shape, net(torch.zeros(1, 3, 70, 45)).shape
        (torch.Size([2, 3]), torch.Size([1, 3]))
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 4,
        size: Sequence[int] = (192, 192),
        attention: int = 2,
        dropout: float = 0.2,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        if in_channels not in (1, 3):
            raise UsageError(f"network mobilecoatnet-lite0: in_channels = {in_channels}; expected 1 or 3")
        rates = np.linspace(0, drop_path, len(BLOCKS) + attention).tolist()
        self.stem = _Filter(3, STEM, 3, 2)
        self.blocks = nn.ModuleList()
        width = STEM
        for (wider, kernel, stride, expansion), rate in zip(BLOCKS, rates, strict=False):
            self.blocks.append(LiteBlock(width, wider, kernel, stride, expansion, rate))
            width = wider
        grid = [halved(side, HALVINGS) for side in size]
        self.attention = nn.ModuleList(AttentionBlock(width, grid, rate) for rate in rates[len(BLOCKS) :])
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        height, width = x.shape[2:]
        tokens = x.flatten(2).transpose(1, 2)
        for block in self.attention:
            tokens = block(tokens, height, width)
        return self.head(self.dropout(tokens.mean(1)))

    def features(self, x: Tensor) -> Tensor:
        """(N, 192, H / 32, W / 32): what Lite0's blocks make of images."""
        x = self.stem((127.5 * x.expand(-1, 3, -1, -1) + 0.5) / 128)  # it learned from (grey - 127) / 128
        for block in self.blocks:
            x = block(x)
        return x

    def adopted(self, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """This network's weights with EfficientNet-Lite0's in their place; attention and head stay.

        Args:
            published: by the names of the published file.

        Example:
            >>> net = MobileCoAtNetLite0(attention=0)
            >>> len(net.names()), net.names()["stem.filter.weight"]
            (270, '_conv_stem.weight')
        """
        return {**self.state_dict(), **{mine: published[theirs] for mine, theirs in self.names().items()}}

    def names(self) -> dict[str, str]:
        """Our name of each tensor that EfficientNet-Lite0 has too -> its name there."""
        found = {}
        for mine in self.state_dict():
            first, _, rest = mine.partition(".")
            if first == "stem":
                part, _, last = rest.partition(".")
                found[mine] = f"{'_conv_stem' if part == 'filter' else '_bn0'}.{last}"
            elif first == "blocks":
                number, part, kind, last = rest.split(".")
                place = 2 * ("expand", "filter", "project").index(part) + (kind == "norm")
                found[mine] = f"_blocks.{number}.{_PARTS[place]}.{last}"
        return found


class LiteBlock(nn.Module):
    """An inverted residual; the first block of all does not widen."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int, drop: float
    ) -> None:
        super().__init__()
        wide = expansion * in_channels
        self.expand = _Filter(in_channels, wide, 1) if expansion > 1 else nn.Identity()
        self.filter = _Filter(wide, wide, kernel, stride, groups=wide)
        self.project = _Filter(wide, out_channels, 1, linear=True)
        self.shortcut = stride == 1 and in_channels == out_channels
        self.drop = DropPath(drop)

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.filter(self.expand(x)))
        return x + self.drop(y) if self.shortcut else y


class _Filter(nn.Module):
    """Convolution, batch normalisation, ReLU6 unless ``linear``.

    A stride of 2 pads an even side by one pixel more at its end, as the published weights expect.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.filter = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(out_channels, eps=EPSILON)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        if self.filter.stride[0] > 1:
            reach = self.filter.kernel_size[0] // 2
            x = F.pad(x, [n for side in (x.shape[3], x.shape[2]) for n in (reach - 1 + side % 2, reach)])
        x = self.norm(self.filter(x))
        return x if self.linear else F.relu6(x)
