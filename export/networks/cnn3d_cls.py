"""The study's 3D grade classifier, and a 7,053-parameter variant of it that averages instead of flattening.

Liu, Yoo, Khalvati 2025 (arXiv 2509.10683): conv 4 -> 8, ReLU, pool 2, conv 8 -> 16, ReLU, pool 2, fully
connected to 128 without an activation, fully connected to one logit (high grade). Of its 48,239,097
parameters 99.99 % sit in the first fully connected layer, which ties the network to one input shape.

The variant keeps both convolutions and describes the volume by the mean and the maximum of its features
(global average pooling: Lin et al. 2014, arXiv 1312.4400), so it takes any shape and is under 0.1 MB.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CNN3DCls(nn.Module):
    """(N, C, D, H, W) images -> (N, K) logits; as published, one logit on (N, 4, 95, 128, 128).

    Args:
        in_channels: C.
        out_channels: K.
        shape: (D, H, W) of every image, in voxels.

    Example:
        >>> sum(p.numel() for p in CNN3DCls().parameters())
        48239097
        >>> CNN3DCls(shape=(9, 8, 8))(torch.zeros(2, 4, 9, 8, 8)).shape
        torch.Size([2, 1])
    """

    def __init__(
        self, in_channels: int = 4, out_channels: int = 1, shape: Sequence[int] = (95, 128, 128)
    ) -> None:
        super().__init__()
        depth, height, width = (size // 4 for size in shape)
        self.features = _Features(in_channels)
        self.hidden = nn.Linear(16 * depth * height * width, 128)
        self.head = nn.Linear(128, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(self.features(x).flatten(1)))


class CNN3DClsGAP(nn.Module):
    """(N, C, D, H, W) images -> (N, K) logits, any D, H, W from 8 on.

    After the study's two convolutions comes a third, separable one on an eighth of the resolution (a view of
    about 4 cm at 2 mm a voxel); mean and maximum over the volume then say how much of each feature there is,
    and whether it is anywhere at all.

    Args:
        in_channels: C.
        out_channels: K.

    Example:
        >>> net = CNN3DClsGAP()
        >>> sum(p.numel() for p in net.parameters())
        7053
        >>> net(torch.zeros(2, 4, 9, 16, 11)).shape
        torch.Size([2, 1])
    """

    def __init__(self, in_channels: int = 4, out_channels: int = 1) -> None:
        super().__init__()
        self.features = _Features(in_channels)
        self.around = nn.Conv3d(16, 16, 3, padding=1, groups=16)
        self.mix = nn.Conv3d(16, 32, 1)
        self.hidden = nn.Linear(64, 26)
        self.head = nn.Linear(26, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.mix(self.around(F.max_pool3d(self.features(x), 2))))
        pooled = torch.cat([x.mean((2, 3, 4)), x.amax((2, 3, 4))], 1)
        return self.head(F.relu(self.hidden(pooled)))


class WithTwoLogits(nn.Module):
    """A network of one logit z as one of two, [0, z]: softmax of these is (1 - sigmoid(z), sigmoid(z)).

    The form that is exported: every classifier file of voxzoo then has one output per class.

    Example:
        >>> WithTwoLogits(nn.Identity())(torch.tensor([[3.0], [-1.0]]))
        tensor([[ 0.,  3.],
                [ 0., -1.]])
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        z = self.network(x)
        return torch.cat([torch.zeros_like(z), z], 1)


class _Features(nn.Module):
    """(N, C, D, H, W) -> (N, 16, D // 4, H // 4, W // 4)."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(in_channels, 8, 3, padding=1)
        self.conv2 = nn.Conv3d(8, 16, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool3d(F.relu(self.conv1(x)), 2)
        return F.max_pool3d(F.relu(self.conv2(x)), 2)
