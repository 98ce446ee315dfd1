"""What a recipe of a language model says besides: tasks, slices, curriculum, and how images are varied."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ...zoo.errors import UsageError
from ...zoo.tasks.prompt import PROMPT_TASKS

CHANCES = (
    *("mirror", "upend", "bend", "restretch", "fade", "blur", "coarse", "transplant"),
    *("curve", "specks"),
)


@dataclass(frozen=True)
class LanguageSpec:
    """How slices become conversations, and in which order they are learned from.

    Attributes:
        tasks: prompt tasks that the model answers.
        wording: the prompt that the contract names, and that most conversations have.
        other_wordings: share of the conversations that have one of the task's other prompts.
        slices_each: slices with tumour that are kept of a phantom; a fifth as many without are kept too.
        image_share: share of the samples that are 2-D images with masks, where there are any.
        empty_share: share of the samples that show no tumour: they teach the grade "none" and an empty mask.
        polygon_share: share of the steps that ask for polygons, which cost most of the time.
        warm_steps: first steps, in which the tower alone learns to tell tumour from brain in every patch.
        warm_batch: images per step of those.
        sigma: deviation, in pixels, of the Gaussian that a coordinate's label is spread by: at first, and at
            the end; linear in between.
        mask_weight: of the patch masks beside the answers, after the first steps.
        least_weight: of the tokens between the numbers, beside the numbers.
    """

    tasks: tuple[str, ...] = PROMPT_TASKS
    wording: str = "brief"
    other_wordings: float = 0.2
    slices_each: int = 24
    image_share: float = 0.05
    empty_share: float = 0.15
    polygon_share: float = 0.5
    warm_steps: int = 1000
    warm_batch: int = 48
    sigma: tuple[float, float] = (3.0, 1.0)
    mask_weight: float = 1.0
    least_weight: float = 0.3

    def __post_init__(self) -> None:
        odd = [task for task in self.tasks if task not in PROMPT_TASKS]
        if odd or not self.tasks:
            known = ", ".join(PROMPT_TASKS)
            raise UsageError(f"recipe [language]: tasks = {list(self.tasks)}; expected some of {known}")
        for field in fields(self):
            value = getattr(self, field.name)
            share = field.name.endswith("_share") or field.name == "other_wordings"
            if share and not 0 <= value <= 1:
                raise UsageError(f"recipe [language]: {field.name} = {value}; expected a share from 0 to 1")
        if min(self.sigma) < 0 or self.warm_steps < 0 or min(self.warm_batch, self.slices_each) < 1:
            raise UsageError(
                "recipe [language]: sigma and warm_steps are 0 or more, warm_batch and slices_each 1 or more"
            )


@dataclass(frozen=True)
class SliceAugmentSpec:
    """How often and how strongly a slice and its mask are varied. 0 leaves a change out.

    Attributes:
        mirror, upend: chances of swapping left and right, top and bottom.
        rotate: standard deviation of the rotation, degrees.
        zoom, stretch: standard deviations of the logs of the size and of the height over the width.
        shift: standard deviation of the shift, pixels.
        bend: chance of a smooth displacement.
        bend_pixels: its standard deviation.
        transplant: chance of another slice's tumour in a slice without.
        fade: chance of moving the tumour's brightness toward, or away from, that of the brain around it.
        curve: chance of a bent curve of brightness; ``gamma`` is the standard deviation of its log exponent.
        gain: standard deviation of the log of the gain; what is brighter than white stays white.
        shade: standard deviation of the log of a gain that varies slowly over the picture.
        restretch: chance of stretching from the slice's least to its greatest value, as ``contrast="slice"``.
        blur, coarse: chances of a Gaussian blur, and of fewer pixels enlarged again.
        noise: largest standard deviation of the noise, as a share of the full range.
        specks: chance of a few bright blobs outside the tumour, which are no tumour.
    """

    mirror: float = 0.5
    upend: float = 0.1
    rotate: float = 12.0
    zoom: float = 0.08
    stretch: float = 0.06
    shift: float = 4.0
    bend: float = 0.6
    bend_pixels: float = 2.5
    transplant: float = 0.3
    fade: float = 0.4
    curve: float = 0.8
    gamma: float = 0.25
    gain: float = 0.15
    shade: float = 0.12
    restretch: float = 0.25
    blur: float = 0.25
    coarse: float = 0.2
    noise: float = 0.06
    specks: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (0 <= value <= 1 if field.name in CHANCES else value >= 0):
                wanted = "a chance from 0 to 1" if field.name in CHANCES else "0 or more"
                raise UsageError(f"recipe [augment]: {field.name} = {value}; expected {wanted}")
