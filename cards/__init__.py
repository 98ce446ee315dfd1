"""Results files in, publications out: model cards, figures, tables, a static site.

Nothing here runs a model: everything is read from finished runs and from contracts.

Example:
    >>> from voxzoo.cards import slug
    >>> slug("a/b")
    'a-b-c14cddc033'
"""

from typing import TYPE_CHECKING

from ..rasterize.lazy import lazy

if TYPE_CHECKING:
    from .names import slug as slug
    from .runs import Run as Run
    from .runs import read_run as read_run
    from .runs import read_runs as read_runs

_HOMES = {"Run": "runs", "read_run": "runs", "read_runs": "runs", "slug": "names"}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy(__name__, _HOMES)
