"""Figures of finished runs, for notebooks, files and pages.

Every function takes runs and gives a ``matplotlib.figure.Figure``, whose label says in words what is seen
(its alternative text). Colours are those of Okabe and Ito, told apart with colour blindness too; what a
colour says a marker, a line or a word says as well.

Example:
    >>> from voxzoo.cards import plots
    >>> "box" in plots.KINDS
    True
"""

from typing import TYPE_CHECKING

from ...rasterize.lazy import lazy

if TYPE_CHECKING:
    from .boxes import box as box
    from .classes import confusion as confusion
    from .classes import reliability as reliability
    from .curves import curve as curve
    from .fronts import pareto as pareto
    from .kinds import KINDS as KINDS
    from .kinds import available as available
    from .kinds import draw as draw
    from .reasoning import judge_agreement as judge_agreement
    from .reasoning import stability as stability
    from .style import save as save
    from .style import svg as svg
    from .votes import gldr as gldr
    from .votes import risk_coverage as risk_coverage

_HOMES = {
    "KINDS": "kinds",
    "available": "kinds",
    "box": "boxes",
    "confusion": "classes",
    "curve": "curves",
    "draw": "kinds",
    "gldr": "votes",
    "judge_agreement": "reasoning",
    "pareto": "fronts",
    "reliability": "classes",
    "risk_coverage": "votes",
    "save": "style",
    "stability": "reasoning",
    "svg": "style",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy(__name__, _HOMES)
