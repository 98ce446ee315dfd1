"""A static site over finished runs: a leaderboard, a page per model, a page per case.

It opens from ``file://`` and asks nothing of any network. Every text in it that came with a run (names,
answers of language models) is escaped by the templates; pictures are made only of data that the user gives.
"""

from typing import TYPE_CHECKING

from ...rasterize.lazy import lazy

if TYPE_CHECKING:
    from .build import Built as Built
    from .build import build_site as build_site

_HOMES = {"Built": "build", "build_site": "build"}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy(__name__, _HOMES)
