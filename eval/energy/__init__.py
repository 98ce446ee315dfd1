"""Energy: counters of the machine where it has some, an estimate with a band where it has none, and CO2.

Every figure says by which method it came about, whether it was measured or estimated, and between what bounds
it lies. ``docs/energy.md`` says what each method can and cannot.
"""

from typing import TYPE_CHECKING

from ...rasterize.lazy import lazy

if TYPE_CHECKING:
    from .carbon import Grid as Grid
    from .carbon import countries as countries
    from .carbon import grid_of as grid_of
    from .meters import open_meters as open_meters
    from .reading import Energy as Energy
    from .reading import total as total
    from .recorder import Recorder as Recorder

_HOMES = {
    "Energy": "reading",
    "Grid": "carbon",
    "Recorder": "recorder",
    "countries": "carbon",
    "grid_of": "carbon",
    "open_meters": "meters",
    "total": "reading",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy(__name__, _HOMES)
