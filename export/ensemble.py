"""Several answers in one network and one file.

They are a cross-validation's folds, two networks that know different things, or several views of one image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .recipe import Recipe


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
        return _mean(self.answers(x))

    def answers(self, x: Tensor) -> list[Tensor]:
        """The probabilities of each network."""
        return [probabilities(network, x) for network in self.networks]

    def with_folds(self) -> nn.Module:
        """The same network, giving (mean, answer of the first, of the second, ...)."""
        return _WithFolds(self)


class WeightedMean(nn.Module):
    """(N, C, D, H, W) images -> (N, K, D, H, W) logits of the weighted mean of the networks' probabilities.

    Args:
        networks: of one shape; each gives logits.
        shares: of each network; they sum to 1.

    Example:
        >>> one, two = nn.Conv3d(1, 1, 1), nn.Conv3d(1, 1, 1)
        >>> x = torch.randn(1, 1, 2, 2, 2)
        >>> mean = 0.25 * torch.sigmoid(one(x)) + 0.75 * torch.sigmoid(two(x))
        >>> torch.allclose(torch.sigmoid(WeightedMean([one, two], [0.25, 0.75])(x)), mean, atol=1e-5)
        True
    """

    def __init__(self, networks: Sequence[nn.Module], shares: Sequence[float]) -> None:
        super().__init__()
        self.networks, self.shares = nn.ModuleList(networks), tuple(shares)

    def forward(self, x: Tensor) -> Tensor:
        return torch.logit(self.probabilities(x), eps=1e-6)

    def probabilities(self, x: Tensor) -> Tensor:
        """(N, K, D, H, W)."""
        first, *others = [s * torch.sigmoid(n(x)) for s, n in zip(self.shares, self.networks, strict=True)]
        return _sum(first, others)


def probabilities(network: nn.Module, x: Tensor) -> Tensor:
    """What a segmenter that gives logits holds for probable."""
    if isinstance(network, WeightedMean):
        return network.probabilities(x)
    return torch.sigmoid(network(x))


class _WithFolds(nn.Module):
    def __init__(self, mean: MeanOfSegmenters) -> None:
        super().__init__()
        self.mean = mean

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        answers = self.mean.answers(x)
        return (_mean(answers), *answers)


def _mean(answers: Sequence[Tensor]) -> Tensor:
    return _sum(answers[0], answers[1:]) / len(answers)


def _sum(first: Tensor, others: Sequence[Tensor]) -> Tensor:
    for other in others:
        first = first + other
    return first


def viewed(recipe: Recipe, network: nn.Module) -> nn.Module:
    """The network, answering from several views of an image if ``recipe`` asks for them."""
    return MeanOfViews(network, recipe.ensemble.turn) if recipe.ensemble.mirror else network


class MeanOfViews(nn.Module):
    """(N, C, H, W) images -> (N, K): the mean of the logits of each image and of its mirror image.

    Their softmax is the normalised geometric mean of the answers.

    Args:
        network: gives logits (N, K).
        turn: also of both turned by quarters; H = W then.

    Example:
        >>> corner = nn.Flatten()
        >>> MeanOfViews(corner)(torch.tensor([[[[1.0, 5.0]]]]))
        tensor([[3., 3.]])
        >>> MeanOfViews(corner, turn=True)(torch.tensor([[[[1.0, 5.0], [2.0, 4.0]]]]))
        tensor([[3., 3., 3., 3.]])
    """

    def __init__(self, network: nn.Module, turn: bool = False) -> None:
        super().__init__()
        self.network, self.turn = network, turn

    def forward(self, x: Tensor) -> Tensor:
        views = [x, x.flip(-1)]
        if self.turn:
            views += [view.flip(-2) for view in views]
            views += [view.transpose(2, 3) for view in views]
        return self.network(torch.cat(views)).unflatten(0, (len(views), -1)).mean(0)
