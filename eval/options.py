"""Everything a run can be told, in one typed object; and which of it changes the answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..zoo.errors import UsageError
from ..zoo.tasks.prompt import PROMPT_TASKS
from ..zoo.tasks.reason import NAME as REASON
from .empty import parse_empty
from .energy.carbon import Grid, grid_of
from .language.naming import is_prompt_task
from .presets import get_preset
from .tasks import AUTO, TASKS

RULES = ("protocol", "parser", "vote", "no_slices", "slices", "unanswered", "pooling", "quirks", "assumed")
"""By which answers of language models are scored."""
QUESTIONS = ("prompt", "repeats", "plane", "show", "modality")
"""What live language models are asked."""
ASKING = ("temperature", "grammar", "concurrency", "price_in", "price_out")
"""How they are asked, and what it costs."""
TASKS_OF = {
    **dict.fromkeys((*RULES, *QUESTIONS), PROMPT_TASKS),
    **dict.fromkeys(("prompt", "repeats", *ASKING), (*PROMPT_TASKS, REASON)),
    "assumed": ("grade",),
    "preset": ("segment",),
    "empty": ("segment", *PROMPT_TASKS),
    "tolerance_mm": ("segment",),
    "save_masks": ("segment",),
}
"""Options that are about some tasks only, and which."""
WHOLE = {"threads": 1, "workers": 0, "limit": 1, "seed": 0, "repeats": 1, "concurrency": 1}
"""Options that are whole numbers, and their least."""


@dataclass(frozen=True)
class ScoreOptions:
    """What changes the numbers of one case; part of its cache key.

    Attributes:
        preset: which tool's HD, HD95 and ASSD: see ``voxzoo.eval.hd95``.
        empty: what a metric is worth on an empty mask: "penalty", "nan", "inf", "raise", "peer" or a
            number of mm (for distances; overlaps then follow "penalty").
        tolerance_mm: of the normalised surface distance.
    """

    preset: str = "metrics-reloaded"
    empty: str | float = "penalty"
    tolerance_mm: float = 1.0

    def __post_init__(self) -> None:
        get_preset(self.preset)
        object.__setattr__(self, "empty", parse_empty(self.empty))
        tolerance = _number("tolerance_mm", self.tolerance_mm)
        if not math.isfinite(tolerance) or tolerance < 0:
            raise UsageError(f"tolerance_mm: got {self.tolerance_mm!r}, expected 0 or more mm")
        object.__setattr__(self, "tolerance_mm", tolerance)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, for results and cache keys."""
        return asdict(self)


@dataclass(frozen=True)
class Options(ScoreOptions):
    """All options of a run. Those of ``ScoreOptions`` change a case's numbers; the rest do not.

    Attributes:
        task: "auto" is the model's own; else "segment", "classify", "reason", a prompt task, or the path of a
            .py file with one.
        runtime: "auto", "onnxruntime", "openvino" or "torchscript".
        device: "auto", "cpu" or "cuda".
        precision: "fp32", "bf16", ...
        threads: of the runtime; None leaves it to the runtime.
        flips: "none", or the mirror images whose mean answer is taken: "lr" or "all".
        trust: run a TorchScript file that is not in the registry; such files run code of their own.
        cross_validated: of a model that is the mean of folds: each of its training cases is answered by the
            fold that never saw it.
        contract: a contract file for a model that has none, or None.
        workers: threads that load and score while the model runs; 0 does one thing after the other.
        limit: only the first so many cases.
        cases: only the cases with these ids.
        save_masks: folder for the predicted masks, or None.
        baseline: whether a trivial baseline is scored on the same cases: the FLAIR threshold beside masks,
            the most frequent class beside classes.
        seed: of the bootstrap, and of the answers of a live language model above temperature 0.
        parquet: also write ``cases.parquet``.
        overwrite: replace what the run folder holds.
        protocol: of language models: "paper", "answered" or "all"; see ``voxzoo.eval.language.protocols``.
        parser, vote, no_slices, slices, unanswered, pooling, quirks: rules of the protocol to change; None
            leaves them.
        assumed: patient -> "low" or "high": grades taken from elsewhere for patients of whom nothing is
            recorded; None for nobody.
        prompt: of a live language model: a name, "all" of them, or a text file; "auto" is the wording
            that the model's contract names, and "default" without one.
        repeats: how often it is asked the same.
        plane, show, modality: which slices it is shown; None leaves it to the model's contract or the task.
        temperature: 0 takes the likeliest token; above it is drawn, each question with a seed of its own.
        grammar: "auto": answers follow the task's grammar where the runtime can; "none": they are free.
        concurrency: questions that an endpoint is asked at once.
        price_in, price_out: of a million tokens read and written, for the cost; None: not stated.
        country, grid, pue: whose electricity: ISO code of three letters or name (None: the world's average);
            g of CO2 equivalent per kWh instead of the table's; what the site adds to each kWh.
    """

    task: str = AUTO
    runtime: str = "auto"
    device: str = "auto"
    precision: str = "fp32"
    threads: int | None = None
    flips: str = "none"
    trust: bool = False
    cross_validated: bool = False
    contract: Path | None = None
    workers: int = 2
    limit: int | None = None
    cases: tuple[str, ...] | None = None
    save_masks: Path | None = None
    baseline: bool = True
    seed: int = 0
    parquet: bool = False
    overwrite: bool = False
    protocol: str = "all"
    parser: str | None = None
    vote: str | None = None
    no_slices: str | None = None
    slices: str | None = None
    unanswered: str | None = None
    pooling: str | None = None
    quirks: tuple[str, ...] | None = None
    assumed: Mapping[str, str] | None = None
    prompt: str = "auto"
    repeats: int = 1
    plane: str | None = None
    show: str | None = None
    modality: str | None = None
    temperature: float = 0.0
    grammar: str = "auto"
    concurrency: int = 1
    price_in: float | None = None
    price_out: float | None = None
    country: str | None = None
    grid: float | None = None
    pue: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        known = (AUTO, *TASKS, *PROMPT_TASKS, REASON)
        if self.task not in known and not is_prompt_task(self.task):
            raise UsageError(f"task: got {self.task!r}, expected one of {', '.join(known)}, or a .py file")
        for name, least in WHOLE.items():
            _whole(name, getattr(self, name), least)
        self._check_asking()
        for name in ("contract", "save_masks"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Path(getattr(self, name)))
        if isinstance(self.cases, str):
            raise UsageError(f"cases: got the text {self.cases!r}, expected a list of case ids")
        if self.cases is not None:
            object.__setattr__(self, "cases", tuple(self.cases))
        _ = self.electricity

    def _check_asking(self) -> None:
        if self.grammar not in ("auto", "none"):
            raise UsageError(f"grammar: got {self.grammar!r}, expected auto or none")
        for name in ("temperature", "price_in", "price_out"):
            value = getattr(self, name)
            if value is not None and not 0 <= _number(name, value) < math.inf:
                raise UsageError(f"{name}: got {value!r}, expected 0 or more")

    @property
    def scoring(self) -> ScoreOptions:
        """The part that changes a case's numbers."""
        return ScoreOptions(self.preset, self.empty, self.tolerance_mm)

    @property
    def electricity(self) -> Grid:
        """The grid that energy is turned into CO2 with."""
        return grid_of(self.country, self.grid, self.pue)

    def check_task(self, task: str) -> None:
        """Refuse an option that has no meaning for ``task``: nobody should believe that it had an effect.

        Raises:
            UsageError: names it.
        """
        for name, tasks in TASKS_OF.items():
            default = type(self).__dataclass_fields__[name].default
            own = is_prompt_task(task) and set(PROMPT_TASKS) <= set(tasks)
            if task not in tasks and not own and getattr(self, name) != default:
                raise UsageError(f"{name}: is about the task {' or '.join(tasks)}; the task here is {task}")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        """Options from keyword arguments.

        Raises:
            UsageError: a name that is no option (the message lists them), or a value that cannot be.

        Example:
            >>> Options.of({"limit": 3}).limit
            3
        """
        known = [f.name for f in fields(cls)]
        unknown = [name for name in given if name not in known]
        if unknown:
            raise UsageError(f"unknown option {unknown[0]!r}: expected some of {', '.join(sorted(known))}")
        return cls(**given)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{name}: got {value!r}, expected a number")
    return float(value)


def _whole(name: str, value: object, least: int) -> None:
    if value is None and name in ("threads", "limit"):
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{name}: got {value!r}, expected a whole number of at least {least}")
