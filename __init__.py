"""voxzoo: a model zoo and evaluation library for medical images.

    import voxzoo
    model = voxzoo.load("cnn3d-seg")
    mask = model("path/to/patient_folder")

Importing it is cheap: the parts (``voxzoo.eval``, ``voxzoo.rasterize``, ``voxzoo.zoo``) and what they need
are imported when they are first used.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import eval as eval
    from . import rasterize as rasterize
    from . import zoo as zoo
    from .eval.results import Results
    from .zoo.contract import Contract

__version__ = "0.1.0"
__all__ = ["__version__", "eval", "evaluate", "load", "models", "rasterize", "zoo"]
_PARTS = ("eval", "rasterize", "zoo")


def load(
    spec: str | os.PathLike[str],
    runtime: str = "auto",
    device: str = "auto",
    precision: str = "fp32",
    threads: int | None = None,
    contract: str | os.PathLike[str] | Contract | None = None,
    flips: str = "none",
    trust: bool = False,
    temperature: float = 0.0,
    seed: int = 0,
    cross_validated: bool = False,
) -> Any:
    """Load a model, verified, ready to be called.

    Args:
        spec: a path to a model file with a contract inside, a name of the zoo, or a URL. An existing file
            wins over a name.
        runtime: "auto" (the fastest installed), "onnxruntime", "openvino"; "torchscript" for such a file.
        device: "auto", "cpu", "cuda".
        precision: "fp32", "tf32", "bf16", "fp16": obtained exactly, or an error.
        threads: inside one call; default: the physical cores this process may use.
        contract: a Contract, or the path of its JSON, for a file that has none inside.
        flips: "none"; "lr" or "all" mirror images too, of models that segment: their probabilities' mean.
        trust: run a TorchScript file that is not in the registry: it runs code of its own.
        temperature, seed: of language models: how freely answers are drawn; 0 is the likeliest token.
        cross_validated: of a mean of folds: each training case is answered by the fold that never saw it.

    Returns:
        A ``zoo.model.Model``, or of a language model a ``zoo.language.LanguageModel``.

    Raises:
        VoxzooError: one of ``voxzoo.zoo.errors``: not found, not trusted, not runnable as asked.

    Example:
        >>> import numpy as np, voxzoo
        >>> model = voxzoo.load("baseline:flair-threshold")
        >>> model(np.ones((1, 4, 5, 6)), spacing_mm=(1, 1, 1)).array.shape
        (4, 5, 6)
    """
    from .zoo import registry

    return registry.load(
        spec, runtime, device, precision, threads, contract, flips, trust, temperature, seed, cross_validated
    )


def models() -> tuple[str, ...]:
    """The names that ``load`` knows.

    Example:
        >>> import voxzoo
        >>> "baseline:flair-threshold" in voxzoo.models()
        True
    """
    from .zoo import registry

    return registry.names()


def evaluate(model: Any, data: Any = None, out: Any = None, **options: Any) -> Results:
    """Score a model on a dataset: what ``zoo-eval`` does. See ``voxzoo.eval.runner.evaluate``.

    Args:
        model: a path, a name of the zoo, a URL, or a loaded model.
        data: a folder, a manifest, "phantom" with its options, or an open dataset; None is "phantom".
        out: run folder; None keeps everything in memory.
        **options: limit, cases, empty, preset, workers, save_masks, ...

    Example:
        >>> import voxzoo
        >>> results = voxzoo.evaluate("baseline:flair-threshold", "phantom:n=2,shape=48x56x48")
        >>> results.aggregate["dice"].n
        2
    """
    from .eval.runner import evaluate as run

    return run(model, data, out, **options)


def __getattr__(name: str) -> Any:
    """The parts are imported when they are first used."""
    if name in _PARTS:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
