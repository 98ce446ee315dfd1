"""The figures that lie beside a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...eval.files import prepare_folder
from ..names import slug
from ..runs import Run, labelled
from .kinds import available, draw
from .style import save


def draw_for_card(runs: Sequence[Run], curve: Path | None, folder: Path) -> Mapping[str, str]:
    """Draw what each run has the numbers for.

    Args:
        runs: of the card.
        curve: ``curve.csv`` of the training, or None.
        folder: of the card.

    Returns:
        Alternative text -> file name.

    Raises:
        RunError: the folder cannot be written.
    """
    prepare_folder(folder)
    out: dict[str, str] = {}
    for label, run in labelled(runs).items():
        for kind in available(run):
            figure = draw(kind, [run])
            name = f"{slug(f'{label}-{run.dataset}-{run.task}-{kind}')}.svg"
            save(figure, folder / name)
            out[str(figure.get_label())] = name
    if curve is not None:
        figure = draw("curve", curves=[curve])
        save(figure, folder / "learning-curve.svg")
        out[str(figure.get_label())] = "learning-curve.svg"
    return out
