"""Losses by name: pure functions of logits and targets, computed in float32 whatever the network ran in."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def soft_dice_loss(logits: Tensor, label: Tensor, smooth: float = 1.0) -> Tensor:
    """1 - soft Dice, pooled over the batch so that crops without tumour are no special case.

    Args:
        logits: (N, K, D, H, W).
        label: same shape, in [0, 1].
        smooth: added above and below.

    Example:
        >>> label = torch.tensor([1.0, 1, 0, 0]).reshape(1, 1, 1, 2, 2)
        >>> round(float(soft_dice_loss(20 * (label - 0.5), label)), 3)
        0.0
    """
    p = torch.sigmoid(logits.float())
    axes = (0, 2, 3, 4)
    return (1 - (2 * (p * label).sum(axes) + smooth) / (p.sum(axes) + label.sum(axes) + smooth)).mean()


def region_loss(name: str, logits: Tensor, label: Tensor) -> Tensor:
    """The loss of a segmenter: "dice+bce", "dice" (smoothed by 1e-6, as in the study) or "bce"."""
    logits = logits.float()
    if name == "dice":
        return soft_dice_loss(logits, label, smooth=1e-6)
    bce = F.binary_cross_entropy_with_logits(logits, label)
    return bce if name == "bce" else soft_dice_loss(logits, label) + bce


def class_loss(name: str, logits: Tensor, target: Tensor) -> Tensor:
    """The loss of a classifier: "cross-entropy" over (N, K), or "bce" of the one logit of class 1.

    Args:
        name: of the loss.
        logits: (N, K), or (N, 1).
        target: (N,) int64.

    Example:
        >>> z, t = torch.tensor([[0.3], [-2.0]]), torch.tensor([1, 0])
        >>> bool(torch.isclose(class_loss("bce", z, t), class_loss("cross-entropy", z, t)))
        True
    """
    logits = logits.float()
    if name == "bce":
        return F.binary_cross_entropy_with_logits(logits[:, -1], target.float())
    return F.cross_entropy(as_classes(logits), target)


def map_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Soft Dice and cross-entropy of a coarse map of what is marked.

    Args:
        logits: (N, 1, h, w).
        masks: (N, H, W) in [0, 1]; averaged over the cells of the map.

    Example:
        >>> masks = torch.zeros(1, 4, 4)
        >>> masks[:, :2, :2] = 1
        >>> right = 40 * torch.tensor([[[[1.0, 0], [0, 0]]]]) - 20
        >>> round(float(map_loss(right, masks)), 3), float(map_loss(-right, masks)) > 10
        (0.0, True)
    """
    cells = F.adaptive_avg_pool2d(masks[:, None], logits.shape[2:])
    return region_loss("dice+bce", logits[:, :, None], cells[:, :, None])


def as_classes(logits: Tensor) -> Tensor:
    """(N, K) as it is; one logit z as [0, z], whose softmax is (1 - sigmoid(z), sigmoid(z)).

    Example:
        >>> as_classes(torch.tensor([[2.0]]))
        tensor([[0., 2.]])
    """
    return logits if logits.shape[1] > 1 else torch.cat([torch.zeros_like(logits), logits], 1)
