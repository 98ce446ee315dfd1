"""Proof that a GGUF pair computes what transformers does with the same checkpoint and adapters.

Logits are compared after every token, of text and of image and text, in units of their standard deviation. An
image reaches the language model through llama.cpp's own vision code, which rounds pixels, the first layer and
every GELU to 16 bits whatever the file holds. So an image and a text are compared twice: with the embeddings
of transformers ("same eyes": only the language model can differ then) and with llama.cpp's ("own eyes").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...zoo.errors import ModelError
from ...zoo.ggufheader import read_gguf_header
from ...zoo.runtimes.llamacpp_native import Settings
from ...zoo.tasks.prompt import PROMPT_TASKS, fill, prompt_task
from ...zoo.tasks.slices import SliceRule
from .probe import Part, Probe
from .reference import Reference, Seen

Floats = NDArray[np.float32]
#: Largest difference in standard deviations of the logits: with caches in float32, and with the defaults.
EXACT, USUAL = 1e-5, 5e-3
#: Of embeddings of images, in their standard deviations, and of logits after them.
EYES = 2e-2
_ANSWERS = {"center": "(64, 70)", "box": "[(50, 55), (80, 90)]"}
_REST = "Choice: 1"


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        name: of what.
        difference: largest, from transformers with the adapters, in standard deviations.
        limit: that it must not pass; None of a quantised file, which has no such limit.
        from_base: likewise from transformers without the adapters; None where there are none.
        kl: mean Kullback-Leibler divergence from transformers with the adapters, nats; None of embeddings.
    """

    name: str
    difference: float
    limit: float | None
    from_base: float | None = None
    kl: float | None = None

    @property
    def problem(self) -> str:
        """What is wrong, "" if nothing is."""
        if not np.isfinite(self.difference):
            return "not a number"
        if self.limit is not None and self.difference > self.limit:
            return f"more than {self.limit:g}"
        if self.from_base is not None and not self.from_base > 2 * self.difference:
            return "no nearer to the merged model than to the base"
        return ""


@dataclass(frozen=True)
class Verification:
    """All comparisons of a pair.

    Attributes:
        checks: in the order they were made.
        same_tokens: whether both cut every text into the same tokens.
    """

    checks: tuple[Check, ...]
    same_tokens: bool

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return self.same_tokens and not any(check.problem for check in self.checks)

    def lines(self) -> list[str]:
        """A table for people.

        Example:
            >>> print("\\n".join(Verification((Check("text", 3e-7, 1e-5, 0.8, 2e-13),), True).lines()))
            tokens                               the same
            text                                 3.0e-07  limit 1e-05  base 8.0e-01  KL 2.0e-13  ok
        """
        tokens = "the same" if self.same_tokens else "DIFFERENT"
        return [f"{'tokens':36s} {tokens}", *(_line(check) for check in self.checks)]


def verify(
    text: Path,
    mmproj: Path | None,
    checkpoint: Path,
    adapters: Sequence[tuple[Path, float]] = (),
    threads: int = 1,
) -> Verification:
    """Compare a pair of GGUF files with a checkpoint and adapters in transformers.

    Args:
        text: GGUF of the language model, the adapters merged.
        mmproj: GGUF of its vision part, likewise; None compares text only.
        checkpoint: Hugging Face folder of the base.
        adapters: (folder, weight), in the order they were merged.
        threads: of both.

    Raises:
        MissingDependencyError: llama-cpp-python, torch, transformers or peft is not installed.
        ModelError: one of them cannot be opened or run.
    """
    merged = Reference(checkpoint, adapters, threads)
    sides = Sides(merged, Reference(checkpoint, (), threads) if adapters else None, text, mmproj, threads)
    return Verification(tuple(sides.checks()), sides.same_tokens())


@dataclass(frozen=True, eq=False)
class Pictured:
    """An image, and what transformers makes of it and a text.

    Attributes:
        image: (H, W, 3) uint8.
        merged: with the adapters.
        base: without; None if there are none.
    """

    image: NDArray[np.uint8]
    merged: Seen
    base: Seen | None


class Sides:
    """Both sides of a comparison.

    Args:
        merged: transformers with the adapters.
        base: transformers without, None if there are none.
        text, mmproj: the GGUF files.
        threads: of llama.cpp.
    """

    def __init__(
        self, merged: Reference, base: Reference | None, text: Path, mmproj: Path | None, threads: int = 1
    ) -> None:
        self._merged, self._base, self._threads = merged, base, threads
        self._text, self._mmproj = str(text), None if mmproj is None else str(mmproj)
        self._whole = all(_is_whole(path) for path in (text, mmproj) if path is not None)

    def same_tokens(self) -> bool:
        """Whether both cut prompts and answers of all tasks, and an image, into the same tokens."""
        probe = self._probe("f32")
        texts = [self._merged.prompt(text, False) + answer for text, answer in questions()]
        same = [probe.tokenize(text, special=True) == self._merged.ids(text) for text in texts]
        if self._mmproj is not None:
            same.append(self._same_layout(probe))
        probe.close()
        return all(same)

    def _same_layout(self, probe: Probe) -> bool:
        """Whether both put the same tokens around an image and its tiles."""
        pictured = self._seen(*questions()[0])
        ids, token = pictured.merged.ids, pictured.merged.token
        own: list[int] = []
        for part in probe.look(pictured.image):
            own += [token] * len(part) if isinstance(part, np.ndarray) else list(part)
        return any(ids[start : start + len(own)] == own for start in range(len(ids) - len(own) + 1))

    def checks(self) -> Iterator[Check]:
        """Every comparison, one after the other."""
        prompt, answer = questions()[0]
        plain = self._merged.ids(self._merged.prompt(prompt, False) + answer)
        after = self._merged.logits(plain)
        before = None if self._base is None else self._base.logits(plain)
        pictured = None if self._mmproj is None else self._seen(prompt, answer)
        for cache, limit in (("f32", EXACT), ("f16", USUAL)):
            probe = self._probe(cache)
            what = "exact" if cache == "f32" else "as usual"
            top = limit if self._whole else None
            yield compared(f"text, {what}", probe.logits([plain]), after, before, top)
            if pictured is not None:
                yield from self._with_image(probe, pictured, what, top)
            probe.close()

    def _seen(self, prompt: str, answer: str) -> Pictured:
        """Image and text in transformers."""
        side = read_gguf_header(str(self._mmproj)).get("clip.vision.image_size")
        image = picture(int(side))
        shown = self._merged.prompt(prompt, True) + answer
        base = None if self._base is None else self._base.see(image, shown)
        return Pictured(image, self._merged.see(image, shown), base)

    def _with_image(
        self, probe: Probe, pictured: Pictured, what: str, limit: float | None
    ) -> Iterator[Check]:
        seen, unmerged = pictured.merged, pictured.base
        own = probe.look(pictured.image)
        mine = np.concatenate([part for part in own if isinstance(part, np.ndarray)])
        if mine.shape != seen.embeddings.shape:
            raise ModelError(
                f"llama.cpp makes {len(mine)} embeddings of an image, transformers {len(seen.embeddings)}"
            )
        kept = ~seen.is_image
        base = None if unmerged is None else unmerged.logits[kept]
        eyes = EYES if self._whole else None
        if what == "exact":
            yield replace(compared("image, embeddings", mine, seen.embeddings, None, eyes), kl=None)
        for whose, embeddings, top in (("same", seen.embeddings, limit), ("own", mine, eyes)):
            got = probe.logits(parts_of(seen, embeddings))
            yield compared(f"image and text, {what}, {whose} eyes", got, seen.logits[kept], base, top)

    def _probe(self, cache: str) -> Probe:
        return Probe(self._text, self._mmproj, Settings(threads=self._threads, cache=cache))


def compared(name: str, got: Floats, wanted: Floats, base: Floats | None, limit: float | None) -> Check:
    """One comparison of logits or embeddings, row by row.

    Example:
        >>> rows = np.array([[0.0, 2.0]], np.float32)
        >>> compared("a", rows + np.float32(0.5), rows, None, 0.1).problem
        'more than 0.1'
    """
    unit = float(wanted.std()) or 1.0
    away = None if base is None else float(np.abs(got - base).max()) / unit
    return Check(name, float(np.abs(got - wanted).max()) / unit, limit, away, divergence(wanted, got))


def divergence(wanted: Floats, got: Floats) -> float:
    """Mean Kullback-Leibler divergence of rows of logits, nats: sum of p (log p - log q).

    Example:
        >>> rows = np.log(np.array([[0.5, 0.5]], np.float32))
        >>> round(divergence(rows, np.log(np.array([[0.25, 0.75]], np.float32))), 4)
        0.1438
    """
    p, q = (_log_softmax(rows.astype(np.float64)) for rows in (wanted, got))
    return float((np.exp(p) * (p - q)).sum(axis=-1).mean())


def parts_of(seen: Seen, embeddings: Floats) -> list[Part]:
    """Tokens and embeddings as a text with an image has them; the places of the image may be several.

    Example:
        >>> eyes = np.zeros((2, 3), np.float32)
        >>> [len(part) for part in parts_of(Seen([5, 9, 9, 6], 9, eyes, eyes), eyes)]
        [1, 2, 1]
    """
    is_image = seen.is_image
    edges = [0, *(np.flatnonzero(np.diff(is_image)) + 1).tolist(), len(is_image)]
    parts: list[Part] = []
    used = 0
    for start, stop in pairwise(edges):
        if is_image[start]:
            parts.append(embeddings[used : used + stop - start])
            used += stop - start
        else:
            parts.append(seen.ids[start:stop])
    return parts


def questions() -> list[tuple[str, str]]:
    """(prompt, answer) of every task, in its brief wording where it has one."""
    found = []
    for name in PROMPT_TASKS:
        prompts = prompt_task(name).prompts
        text = prompts.get("brief", next(iter(prompts.values())))
        found.append((fill(text, SliceRule()), _ANSWERS.get(name, _REST)))
    return found


def picture(side: int, seed: int = 0) -> NDArray[np.uint8]:
    """A made-up image: soft blobs and noise, (side, side, 3) uint8, grey.

    Example:
        >>> picture(32).shape, bool((picture(32) == picture(32)).all())
        ((32, 32, 3), True)
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side] / side
    light = 0.1 * rng.standard_normal((side, side))
    for row, column, size in rng.uniform(0.2, 0.8, (5, 3)):
        light += np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (0.05 * size))
    grey = np.clip(255 * light / light.max(), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(grey[..., None], 3, axis=2))


def _log_softmax(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = rows - rows.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _is_whole(path: Path) -> bool:
    """Whether a file holds nothing but float32."""
    return {tensor.type_name for tensor in read_gguf_header(path).tensors.values()} == {"F32"}


def _line(check: Check) -> str:
    limit = "" if check.limit is None else f"  limit {check.limit:g}"
    base = "" if check.from_base is None else f"  base {check.from_base:.1e}"
    kl = "" if check.kl is None else f"  KL {check.kl:.1e}"
    return f"{check.name:36s} {check.difference:.1e}{limit}{base}{kl}  {check.problem.upper() or 'ok'}"
