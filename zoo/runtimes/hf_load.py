"""Opening vision-text checkpoints and PEFT adapters with ``transformers``: exactly as asked, or an error."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import DeviceError, MissingDependencyError, ModelError, UsageError
from .base import package_found
from .hf_files import ADAPTER_WEIGHTS, Checkpoint
from .torchscript import import_torch

DTYPES = {"fp32": "float32", "tf32": "float32", "bf16": "bfloat16", "fp16": "float16", "nf4": "bfloat16"}
"""Precision -> dtype of the arithmetic; nf4 keeps the weights in 4 bits (bitsandbytes)."""
LINE = 'pip install "voxzoo[train]"'


def settle_device(device: str, precision: str) -> str:
    """The device that will be used, checked against what is there.

    Raises:
        UsageError: an unknown word.
        DeviceError: no such device, or a precision that it cannot do.
        MissingDependencyError: torch, or bitsandbytes for nf4, is not installed.
    """
    if precision not in DTYPES:
        raise UsageError(f"unknown precision {precision!r}: expected one of {', '.join(DTYPES)}")
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"unknown device {device!r}: expected one of auto, cpu, cuda")
    torch = import_torch()
    gpu = bool(torch.cuda.is_available())
    if device == "cuda" and not gpu:
        raise DeviceError(f"torch {torch.__version__} finds no NVIDIA GPU: use --device cpu")
    chosen = device if device != "auto" else ("cuda" if gpu else "cpu")
    if chosen == "cpu" and precision in ("nf4", "tf32"):
        raise DeviceError(
            f"{precision} needs an NVIDIA GPU, and {chosen} is what there is: use --precision fp32"
        )
    if precision == "nf4" and not package_found("bitsandbytes"):
        raise MissingDependencyError("nf4 (4 bits) needs bitsandbytes: pip install bitsandbytes accelerate")
    return chosen


def open_checkpoint(
    found: Checkpoint, device: str, precision: str, needs_images: bool = True
) -> tuple[Any, Any]:
    """(model, processor) on this device and in this precision, the adapter on it.

    Without a need for images a model that reads text only is opened too; its tokenizer is the processor then.

    Raises:
        MissingDependencyError: transformers or peft is not installed.
        ModelError: it cannot be opened, lacks weights, or the adapter does not fit.
        DeviceError: parts of it ended elsewhere or in another precision.
    """
    if not package_found("transformers"):
        raise MissingDependencyError(f"transformers is not installed: {LINE}")
    torch = import_torch()
    with _quiet():
        processor = _processor(found.folder, needs_images)
        model = _model(torch, found.folder, device, precision, sees=hasattr(processor, "image_processor"))
        if found.adapter is not None:
            model = _with_adapter(model, found.adapter)
    model = model.eval().requires_grad_(False)
    if precision != "nf4":
        model = model.to(device=device, dtype=getattr(torch, DTYPES[precision]))
    _check_placed(model, device, None if precision == "nf4" else getattr(torch, DTYPES[precision]))
    return model, processor


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars of transformers, as it was afterwards."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _failures() -> tuple[type[Exception], ...]:
    """What transformers and safetensors raise about a checkpoint that is not right."""
    from huggingface_hub import errors
    from safetensors import SafetensorError

    strict = getattr(errors, "StrictDataclassError", ValueError)
    return (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError, strict)


def _processor(folder: Path, needs_images: bool) -> Any:
    from transformers import AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except ImportError as error:
        raise MissingDependencyError(f"{folder}: its processor needs more: {_line(error)}") from error
    except _failures() as error:
        raise ModelError(f"{folder}: its processor cannot be opened: {_line(error)}") from error
    if not needs_images and hasattr(processor, "convert_ids_to_tokens"):
        return processor
    if not hasattr(processor, "image_processor") or not hasattr(processor, "tokenizer"):
        raise ModelError(f"{folder}: takes no images with text, so it cannot be asked about a slice")
    return processor


def _model(torch: Any, folder: Path, device: str, precision: str, sees: bool) -> Any:
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    family = AutoModelForImageTextToText if sees else AutoModelForCausalLM
    extra: dict[str, Any] = {}
    if precision == "nf4":
        from transformers import BitsAndBytesConfig

        extra["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
        )
        extra["device_map"] = {"": device}
    try:
        model, told = family.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=getattr(torch, DTYPES[precision]),
            output_loading_info=True,
            **extra,
        )
    except ImportError as error:
        raise MissingDependencyError(f"{folder}: needs more packages: {_line(error)}") from error
    except _failures() as error:
        raise ModelError(f"{folder}: transformers cannot open it: {_line(error)}") from error
    absent = sorted(str(key) for key in (*told["missing_keys"], *told["mismatched_keys"]))
    if absent:
        raise ModelError(f"{folder}: {len(absent)} weights are missing or of another shape, like {absent[0]}")
    if told["unexpected_keys"]:
        unused = sorted(told["unexpected_keys"])
        warnings.warn(f"{folder}: {len(unused)} weights have no use, like {unused[0]}", RuntimeWarning, 2)
    return model


def _with_adapter(model: Any, folder: Path) -> Any:
    """The model with a PEFT adapter on it; every weight of the adapter has to find its place."""
    if not package_found("peft"):
        raise MissingDependencyError(f"peft is not installed: {LINE}")
    from peft import PeftConfig, get_peft_model, set_peft_model_state_dict
    from safetensors.torch import load_file

    try:
        config = PeftConfig.from_pretrained(str(folder), local_files_only=True)
        if config.is_prompt_learning:
            raise ModelError(f"{folder}: {config.peft_type.value} changes prompts; expected one of weights")
        weights = load_file(folder / ADAPTER_WEIGHTS)
        config.inference_mode = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what peft warns of is checked below
            adapted = get_peft_model(model, config)
            result = set_peft_model_state_dict(adapted, weights)
    except _failures() as error:
        raise ModelError(f"{folder}: this adapter does not fit the model: {_line(error)}") from error
    bad = sorted(name for name, weight in weights.items() if not weight.isfinite().all())
    if bad:
        raise ModelError(f"{folder}: {len(bad)} of its weights hold NaN or infinity, like {bad[0]}")
    unfilled = [name for name in result.missing_keys if ".default" in name]  # the adapter's own name in peft
    strays = sorted(result.unexpected_keys) + unfilled
    if strays:
        raise ModelError(
            f"{folder}: this adapter does not fit the model: {len(strays)} weights have no counterpart, "
            f"like {strays[0]}"
        )
    return adapted


def _check_placed(model: Any, device: str, dtype: Any) -> None:
    """Every weight is where and what was asked for."""
    for name, weight in model.named_parameters():
        if weight.device.type != device:
            raise DeviceError(f"{name} ended on {weight.device.type}, not on {device}")
        if dtype is not None and weight.is_floating_point() and weight.dtype != dtype:
            raise DeviceError(f"{name} ended in {weight.dtype}, not in {dtype}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:400] or type(error).__name__
