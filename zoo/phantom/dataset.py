"""The dataset ``phantom``: cases that are made when they are read."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..cases import Case
from ..datasets import Dataset
from ..errors import UsageError
from ..nifti import Grid, Volume
from .case import DEFAULT_SHAPE, Phantom, drawn_grade, grid_affine, phantom_case, phantom_grid
from .intensities import MODALITIES

GENERATOR = "voxzoo.phantom/1"
"""Part of every fingerprint: changes whenever the same seed would make another case."""

LICENCE = (
    "CC0-1.0 (made, no patient); tissue maps derived from the ICBM 152 template, Copyright (C) 1993-2004 "
    "Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill University"
)

MAX_CASES = 100_000
KEPT = 4
"""Cases kept in memory, so that four modalities and a reference are made once; older ones are made again."""


@dataclass(frozen=True)
class PhantomRecipe:
    """All that decides a phantom, to the last bit on one machine."""

    seed: int
    index: int
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    grade: str

    def make(self) -> Phantom:
        """The phantom, from memory when it was made lately."""
        return _recent.get(self)


class _Recent:
    """The last few phantoms. Two threads that want one case wait for one making, others go on in parallel."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._made: OrderedDict[PhantomRecipe, Future[Phantom]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, recipe: PhantomRecipe) -> Phantom:
        with self._lock:
            future = self._made.get(recipe)
            mine = future is None
            if future is None:
                future = self._made[recipe] = Future()
                while len(self._made) > self._size:
                    self._made.popitem(last=False)
            self._made.move_to_end(recipe)
        if mine:
            self._fill(recipe, future)
        return future.result()

    def _fill(self, recipe: PhantomRecipe, future: Future[Phantom]) -> None:
        try:
            future.set_result(
                phantom_case(
                    recipe.seed,
                    recipe.index,
                    shape=recipe.shape,
                    spacing_mm=recipe.spacing_mm,
                    grade=recipe.grade,
                )
            )
        except BaseException as error:  # handed to whoever waits (a Ctrl-C too), and forgotten
            with self._lock:
                self._made.pop(recipe, None)
            future.set_exception(error)
            raise


_recent = _Recent(KEPT)


@dataclass(frozen=True)
class PhantomSource:
    """One volume of a phantom: a modality, or "reference"."""

    recipe: PhantomRecipe
    part: str

    @property
    def name(self) -> str:
        return f"phantom {self.recipe.index} of seed {self.recipe.seed} ({self.part})"

    def read(self) -> Volume:
        made = self.recipe.make()
        array = (made.labels if self.part == "reference" else made.images[self.part]).view()
        array.flags.writeable = False
        return Volume(array, made.affine)

    def grid(self) -> Grid:
        lattice = phantom_grid(self.recipe.shape, self.recipe.spacing_mm)
        return Grid(lattice.shape, grid_affine(lattice))

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{GENERATOR} {self.recipe} {self.part}".encode()).hexdigest()


def phantom_dataset(
    n: int = 8,
    seed: int = 0,
    shape: Sequence[int] = DEFAULT_SHAPE,
    spacing_mm: float | Sequence[float] | None = None,
    grade: str | None = None,
) -> Dataset:
    """A dataset of made glioma patients; nothing is made before it is read.

    Args:
        n: how many.
        seed: names the series: the first cases of a longer series are those of a shorter one.
        shape: voxels along (left, back, up).
        spacing_mm: one number or three; None fits the whole head into ``shape`` (1 mm for the default shape).
        grade: "high" or "low" for cases of one grade; None mixes them, 60 % high.

    Raises:
        UsageError: ``n`` below 1, an unknown grade.
        InputError: shape, spacing or seed cannot be used.

    Example:
        >>> data = phantom_dataset(n=2, shape=(32, 40, 32))
        >>> [case.id for case in data], data.cases[0].read_image("flair").shape
        (['phantom-0000', 'phantom-0001'], (32, 40, 32))
    """
    if not 1 <= n <= MAX_CASES:
        raise UsageError(f"n={n}: a phantom dataset has 1 to {MAX_CASES} cases")
    if grade not in (None, "high", "low"):
        raise UsageError(f"grade={grade}: high or low was expected, or nothing for both")
    lattice = phantom_grid(shape, spacing_mm)
    x, y, z = (float(step) for step in np.abs(lattice.steps_mm))
    steps = (x, y, z)
    cases = tuple(
        _case(PhantomRecipe(seed, i, lattice.shape, steps, grade or drawn_grade(seed, i))) for i in range(n)
    )
    size = "x".join(str(count) for count in lattice.shape)
    pitch = "x".join(f"{step:g}" for step in steps)
    source = f"phantom:n={n},seed={seed},shape={size},spacing={pitch}" + (f",grade={grade}" if grade else "")
    return Dataset("phantom", cases, LICENCE, source, "phantom")


def _case(recipe: PhantomRecipe) -> Case:
    name = f"phantom-{recipe.index:04d}"
    return Case(
        id=name,
        patient=name,
        images={part: PhantomSource(recipe, part) for part in MODALITIES},
        reference=PhantomSource(recipe, "reference"),
        grade=recipe.grade,
        facts={"collection": "phantom", "generator": GENERATOR, "seed": str(recipe.seed), "licence": LICENCE},
    )


def open_phantom(spec: str) -> Dataset:
    """The dataset that a word like ``phantom`` or ``phantom:n=8,seed=1,shape=96x112x96,spacing=2`` names.

    Raises:
        UsageError: an unknown or repeated key (the known ones are listed), a value that cannot be read.
        InputError: a shape, spacing or seed that cannot be used.
    """
    return phantom_dataset(**parse_phantom(spec))


def parse_phantom(spec: str) -> dict[str, Any]:
    """Read a phantom's specification into the arguments of ``phantom_dataset``.

    Raises:
        UsageError: see ``open_phantom``.

    Example:
        >>> parse_phantom("phantom:n=3,shape=96x112x96,spacing=2")
        {'n': 3, 'shape': (96, 112, 96), 'spacing_mm': 2.0}
    """
    word, _, rest = spec.partition(":")
    if word != "phantom":
        raise UsageError(f"{spec}: a phantom dataset is written phantom or phantom:key=value,...")
    found: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in rest.split(","))):
        key, equals, text = (part.strip() for part in item.partition("="))
        if key not in _KEYS or not equals:
            raise UsageError(f"{spec}: {item!r} is no option; known are {', '.join(f'{k}=…' for k in _KEYS)}")
        name, read = _KEYS[key]
        if name in found:
            raise UsageError(f"{spec}: {key} is given twice")
        found[name] = _value(spec, key, text, read)
    return found


def _value(spec: str, key: str, text: str, read: Callable[[str], Any]) -> Any:
    try:
        return read(text)
    except ValueError:
        raise UsageError(f"{spec}: {key}={text} cannot be read; an example: {_EXAMPLES[key]}") from None


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.lower().split("x"))


def _steps(text: str) -> float | tuple[float, ...]:
    values = tuple(float(part) for part in text.lower().split("x"))
    return values[0] if len(values) == 1 else values


def _plain(text: str) -> str:
    if text not in ("high", "low"):
        raise ValueError(text)
    return text


_KEYS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "n": ("n", int),
    "seed": ("seed", int),
    "shape": ("shape", _sizes),
    "spacing": ("spacing_mm", _steps),
    "grade": ("grade", _plain),
}
_EXAMPLES = {
    "n": "n=8",
    "seed": "seed=1",
    "shape": "shape=96x112x96",
    "spacing": "spacing=1.5",
    "grade": "grade=low",
}
