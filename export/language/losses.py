"""What a llava-nano in training is wrong by: masks of patches, tokens, coordinates with soft labels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..networks.llava_nano import PATCH, NanoTrainee


@dataclass(frozen=True, eq=False)
class Conversations:
    """The arrays of ``conversation.Packed`` as tensors, (B, L) each."""

    ids: Tensor
    labels: Tensor
    positions: Tensor
    blocks: Tensor


def patch_masks(masks: Tensor) -> Tensor:
    """(N, H, W) -> (N, patches, PATCH * PATCH), as the mask head gives them.

    Example:
        >>> patch_masks(torch.zeros(2, 128, 128)).shape
        torch.Size([2, 64, 256])
    """
    count, height, width = masks.shape
    cut = masks.reshape(count, height // PATCH, PATCH, width // PATCH, PATCH)
    return cut.transpose(2, 3).reshape(count, -1, PATCH * PATCH)


def mask_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy of pixels plus 1 - Dice of whole slices, for slices that have a tumour.

    Args:
        logits: (N, patches, pixels).
        masks: the same, 0 or 1.
    """
    wrong = F.binary_cross_entropy_with_logits(logits, masks)
    found, size = torch.sigmoid(logits), masks.sum((1, 2))
    both = (found * masks).sum((1, 2))
    overlap = (2 * both + 1) / (found.sum((1, 2)) + size + 1)
    some = size > 0
    return wrong + (1 - overlap)[some].mean() if bool(some.any()) else wrong


def answer_states(network: NanoTrainee, images: Tensor, said: Conversations, bos: int) -> Tensor:
    """States that predict the tokens of ``said``: (B, L, width).

    The image stands once before all conversations about it, and each of them sees only the image and itself.

    Args:
        network: whose LLaMA.
        images: (B, patches, width) states of patches.
        said: the conversations.
        bos: the token before the image.
    """
    language = network.llava.model.language_model
    count, before = len(images), images.shape[1] + 1
    start = language.embed_tokens(torch.full((count, 1), bos, device=images.device))
    inputs = torch.cat([start, images, language.embed_tokens(said.ids)], 1)
    positions = torch.arange(before, device=images.device).expand(count, -1)
    positions = torch.cat([positions, said.positions], 1)
    states = language(
        inputs_embeds=inputs,
        attention_mask=seen(said.blocks, before),
        position_ids=positions,
        use_cache=False,
    ).last_hidden_state
    return states[:, before - 1 : -1]


def seen(blocks: Tensor, before: int) -> Tensor:
    """Which token may look at which: (B, 1, T, T) bool, T = before + L.

    Args:
        blocks: (B, L) number of each token's conversation.
        before: tokens in front, which all see.

    Example:
        >>> seen(torch.tensor([[1, 2]]), 1)[0, 0].int().tolist()
        [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    """
    whole = F.pad(blocks, (before, 0))
    length = whole.shape[1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=blocks.device).tril()
    shared = torch.arange(length, device=blocks.device) < before
    same = whole[:, None, :] == whole[:, :, None]
    return ((same | shared) & earlier)[:, None]


class TokenLoss(nn.Module):
    """Cross-entropy of answers: every task counts alike, however long its answers are.

    A coordinate's label is spread by a Gaussian, so that a near miss costs less than a far one.

    Args:
        numbers: ids of the tokens 0..127.
        plain: number of the task whose numbers are classes (grade), 0 for none.
        least: weight of the tokens that are no numbers.
    """

    def __init__(self, numbers: list[int], plain: int, least: float) -> None:
        super().__init__()
        self.numbers, self.plain, self.least = torch.tensor(numbers), plain, least

    def forward(self, logits: Tensor, labels: Tensor, blocks: Tensor, sigma: float) -> Tensor:
        """The loss.

        Args:
            logits: (n, vocabulary) of the tokens that are to be answered.
            labels: (n,) those tokens.
            blocks: (n,) numbers of their tasks.
            sigma: pixels; 0 leaves labels sharp.
        """
        numbers = self.numbers.to(logits.device)
        scores = logits.float().log_softmax(-1)
        wrong = -scores.gather(1, labels[:, None])[:, 0]
        value, is_number = _values(labels, numbers, logits.shape[1])
        coordinate = is_number & (blocks != self.plain)
        if sigma > 0 and bool(coordinate.any()):
            spread = _spread(value[coordinate], sigma, len(numbers))
            told = -(spread * scores[coordinate][:, numbers]).sum(1) + torch.xlogy(spread, spread).sum(1)
            wrong = wrong.masked_scatter(coordinate, told)
        total = wrong.new_zeros(())
        for task in blocks.unique():
            mine = blocks == task
            for some, weight in ((mine & is_number, 1.0), (mine & ~is_number, self.least)):
                if bool(some.any()):
                    total = total + weight * wrong[some].mean()
        return total


def _values(labels: Tensor, numbers: Tensor, vocabulary: int) -> tuple[Tensor, Tensor]:
    """What number a token is, and whether it is one."""
    table = torch.full((vocabulary,), -1, device=labels.device)
    table[numbers] = torch.arange(len(numbers), device=labels.device)
    values = table[labels]
    return values, values >= 0


def _spread(values: Tensor, sigma: float, count: int) -> Tensor:
    """(n, count) Gaussians around the values, each summing to 1."""
    apart = (torch.arange(count, device=values.device)[None] - values[:, None]) / sigma
    weights = torch.exp(-0.5 * apart**2)
    return weights / weights.sum(1, keepdim=True)
