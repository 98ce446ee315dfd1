"""A model: a contract and a runtime that can ``predict(case)``.

The kinds there are: ``volume_model.VolumeModel`` segments volumes, ``classifier.ClassifierModel`` classifies
volumes or 2-D images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from .contract import Contract
from .errors import UsageError
from .inputs import as_input
from .mask import Mask

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .runtimes.base import RuntimeInfo


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model answered, and the wall-clock seconds of "prepare", "infer" and "finish".

    Attributes:
        answer: a Mask of a model that segments, a ``tasks.classify.Classification`` of one that classifies.
        seconds: by step.
    """

    answer: Any
    seconds: dict[str, float]

    @property
    def mask(self) -> Mask:
        """The answer of a model that segments.

        Raises:
            UsageError: the model does something else.
        """
        if not isinstance(self.answer, Mask):
            raise UsageError(f"the answer is no mask but a {type(self.answer).__name__}: use .answer")
        return self.answer


class Model(Protocol):
    """What the rest of voxzoo knows of a model.

    The three steps of a prediction are apart so that the reading of one case can overlap the computing of
    another; what passes between them is the model's own business.
    """

    contract: Contract
    name: str
    reference: str
    """How it was found, printable: "bundled zoo model cnn3d-seg 1.0.0", "file ./mine.onnx"."""
    content_hash: str
    runtime: RuntimeInfo

    @property
    def settings(self) -> dict[str, str]:
        """What was chosen when the model was loaded and changes its answers: part of a run's identity."""
        ...

    def prepare(self, case: Any) -> Any:
        """Read and preprocess a case."""
        ...

    def infer(self, prepared: Any) -> Any:
        """Run the network."""
        ...

    def finish(self, answer: Any, prepared: Any) -> Any:
        """Turn the network's numbers into the answer: a Mask on the case's own grid, a Classification."""
        ...

    def predict(self, case: Any) -> Prediction:
        """All three steps, timed."""
        ...

    def __call__(
        self, x: Any, spacing_mm: Sequence[float] | None = None, affine: ArrayLike | None = None
    ) -> Any:
        """The answer for whatever a person has: a folder, files, an array, a case; see ``inputs``."""
        ...


class Steps:
    """``predict`` and ``__call__`` of every model, from its three steps."""

    contract: Contract

    @property
    def settings(self) -> dict[str, str]:
        """What was chosen when the model was loaded and changes its answers."""
        return {}

    def prepare(self, case: Any) -> Any:
        """Read and preprocess a case."""
        raise NotImplementedError

    def infer(self, prepared: Any) -> Any:
        """Run the network."""
        raise NotImplementedError

    def finish(self, answer: Any, prepared: Any) -> Any:
        """Turn the network's numbers into the answer."""
        raise NotImplementedError

    def predict(self, case: Any) -> Prediction:
        """Predict one case.

        Args:
            case: a Case with the modalities that the contract names; for a model of 2-D images an ImageCase.

        Returns:
            The answer (a mask is on the case's own grid), and the seconds of each step.

        Raises:
            CaseError: the case lacks a modality or cannot be read.
            ModelError: the network fails on it.
        """
        times = [perf_counter()]
        prepared = self.prepare(case)
        times.append(perf_counter())
        raw = self.infer(prepared)
        times.append(perf_counter())
        answer = self.finish(raw, prepared)
        times.append(perf_counter())
        names = ("prepare", "infer", "finish")
        return Prediction(answer, {n: b - a for n, a, b in zip(names, times[:-1], times[1:], strict=True)})

    def __call__(
        self, x: Any, spacing_mm: Sequence[float] | None = None, affine: ArrayLike | None = None
    ) -> Any:
        """The answer for one patient or image.

        Args:
            x: a patient's folder; a dict modality -> NIfTI path, or -> (4-D NIfTI path, index); an array
                (C, D, H, W) with the channels in the contract's order; a Case. For a model of 2-D images:
                an image's path; an array (H, W) or (H, W, 3) of uint8, red first; an ImageCase.
            spacing_mm: of a volume in an array: mm along (D, H, W).
            affine: of a volume in an array, instead of the spacing: (4, 4), index -> mm. Without it D runs
                to superior, H to posterior, W to left.

        Returns:
            A Mask on the input's own grid and in its axis order, or a Classification.

        Raises:
            InputError: an input that cannot be used (channels, axes, spacing).
            CaseError: the patient or image cannot be read, or lacks a modality.
            ModelError: the network fails on it.
        """
        return self.predict(as_input(x, self.contract.input, spacing_mm, affine)).answer
