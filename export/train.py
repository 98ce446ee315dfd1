"""The training loop: seeded, resumable, with its curve kept as data. It knows tasks by their protocol only.

A training folder holds ``recipe.json`` (what is trained, on which cases), ``curve.jsonl`` (a line per
validation; also as ``curve.csv`` and ``curve.svg``), ``last.safetensors`` (everything needed to go on),
``best.safetensors`` (the averaged weights of the best validation) and, at the end, ``weights.safetensors``.
Batches depend on (seed, step) alone and the random state of dropout is in the checkpoint, so a training that
was killed, at whatever moment, resumes to the same curve.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import deque
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..zoo.errors import RunError
from . import device as devices
from . import weights
from .curves import Curve
from .folder import claim, locked
from .progress import Progress, Silent
from .recipe import Recipe
from .state import State
from .tasks.base import TrainingTask

CPU = torch.device("cpu")
DRAW_EVERY_SECONDS = 30


def train(
    recipe: Recipe,
    task: TrainingTask,
    folder: Path,
    device: torch.device = CPU,
    progress: Progress | None = None,
    init: Path | None = None,
) -> nn.Module:
    """Train, or go on with, the model that ``recipe`` describes.

    Args:
        recipe: what to make.
        task: data, loss and validation.
        folder: where the training lives; one that holds another training is refused.
        device: where to compute.
        progress: told of steps and validations.
        init: safetensors to begin with, instead of random weights.

    Returns:
        The network with the averaged weights of the last or best validation, as the recipe says, on the CPU
        and in eval mode.

    Raises:
        RunError: the folder cannot be written or holds another training; memory ran out; the loss is not
            finite any more.
        ModelError: ``init`` or the folder's checkpoint is of another network.
    """
    recipe = replace(recipe, fit=recipe.fit.settled(task.samples))
    start = weights.read_weights(init) if init else None
    with locked(folder), devices.kept_random_state(device), devices.tuned(device):
        claim(folder, recipe, task.describe(), init=_digest(start))
        state = State.fresh(recipe, device, start, str(init))
        state.load(folder / "last.safetensors")
        curve = Curve(folder, state.step)
        with devices.memory_advice(advice(recipe)):
            _loop(state, task, curve, folder, progress or Silent())
        curve.export(f"{recipe.name}, seed {recipe.seed}", task.metric)
        network = _chosen(state, curve, folder)
    weights.write(folder / "weights.safetensors", network.state_dict())
    return network


def advice(recipe: Recipe) -> str:
    """What to lower when memory runs out, with its present values."""
    batch = f"lower fit.batch (now {recipe.fit.batch})"
    if recipe.task == "segment":
        return f"{batch} or fit.crop (now {'x'.join(map(str, recipe.fit.crop))})"
    if recipe.task == "prompt":
        return f"{batch} or language.warm_batch (now {recipe.language.warm_batch})"
    return f"{batch} or input.shape (now {'x'.join(map(str, recipe.input.shape))})"


def _loop(state: State, task: TrainingTask, curve: Curve, folder: Path, progress: Progress) -> None:
    """All steps that are left, with a validation and a checkpoint now and then."""
    fit, losses, drawn = state.recipe.fit, [], time.monotonic()
    if curve.stalled(fit.patience) or state.step >= fit.steps:
        return
    progress.start(state.step, fit.steps, task.metric)
    batches = _ahead(task, state.step, fit.steps, state.device)
    try:
        for tensors in batches:
            with state.precision.autocast():
                loss = task.loss(state.network, tensors)
            state.learn(loss)
            losses.append(loss.detach())
            progress.tick(state.step, losses[-1])
            if state.step % fit.validate_every and state.step != fit.steps:
                continue
            progress.line(_validated(state, task, curve, folder, losses))
            losses.clear()
            if curve.stalled(fit.patience):
                break
            if time.monotonic() - drawn > DRAW_EVERY_SECONDS:
                curve.export(state.recipe.name, task.metric)
                drawn = time.monotonic()
    finally:
        batches.close()
        progress.stop()


def _validated(
    state: State, task: TrainingTask, curve: Curve, folder: Path, losses: list[Tensor]
) -> dict[str, Any]:
    """A line of the curve, then the checkpoint that makes it final.

    The order matters: a line whose checkpoint was not written any more is cut on resume and comes again.
    """
    loss = math.fsum(map(float, losses)) / len(losses)
    if not math.isfinite(loss):
        raise RunError(
            f"the loss became {loss} before step {state.step}: lower fit.learning_rate "
            f"(now {state.recipe.fit.learning_rate:g})"
            + ("" if state.precision.dtype is None else ", or set fit.precision to fp32")
        )
    validation = task.validate(state.average.eval(), state.device)
    line = {
        "step": state.step,
        "loss": round(loss, 5),
        "score": task.score(validation),
        "validation": validation,
    }
    curve.append(line)
    if curve.best() == len(curve.lines) - 1:
        weights.write(folder / "best.safetensors", state.average.state_dict(), {"step": str(state.step)})
    state.save(folder / "last.safetensors")
    return line


def _ahead(
    task: TrainingTask, first: int, last: int, device: torch.device
) -> Generator[tuple[Tensor, ...], None, None]:
    """Batches in order, the next ones made by other threads while this one is learned from."""
    count = devices.workers(device)
    with ThreadPoolExecutor(count) as pool:
        coming = deque(pool.submit(task.batch, step) for step in range(first, min(first + count, last)))
        for step in range(first, last):
            batch = coming.popleft().result()
            if step + count < last:
                coming.append(pool.submit(task.batch, step + count))
            yield devices.send(batch, device)


def _chosen(state: State, curve: Curve, folder: Path) -> nn.Module:
    """The averaged network with the weights that the recipe keeps, on the CPU."""
    best = folder / "best.safetensors"
    if state.recipe.fit.keep == "best" and curve.best() is not None:
        weights.put(weights.read(best)[0], state.average, str(best))
    return state.average.to("cpu").eval()


def _digest(tensors: Mapping[str, Tensor] | None) -> str:
    """A hash of weights, to tell trainings that began differently; "" for none."""
    if tensors is None:
        return ""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].double().contiguous().numpy().tobytes())
    return digest.hexdigest()
