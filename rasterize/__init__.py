"""Geometry to masks and back: polygons, boxes, points, contours. Exact, single or in batches.

Conventions, everywhere: points are (row, col); pixel centres lie at integers, pixel edges at +-0.5; boxes are
[row_min, col_min, row_max, col_max], inclusive; a half-integer becomes the lower pixel when one is needed.

Names are loaded when first used: everything of voxzoo passes here for its exceptions, few need numba.
"""

from typing import TYPE_CHECKING

from .lazy import lazy

if TYPE_CHECKING:
    from .contours import largest_component as largest_component
    from .contours import mask_to_box as mask_to_box
    from .contours import mask_to_center as mask_to_center
    from .contours import mask_to_polygon as mask_to_polygon
    from .contours import mask_to_polygons as mask_to_polygons
    from .polygons import RULES as RULES
    from .polygons import clockwise_from_north as clockwise_from_north
    from .polygons import fill_polygon as fill_polygon
    from .polygons import fill_polygons as fill_polygons
    from .polygons import is_valid_polygon as is_valid_polygon
    from .polygons import repair_polygon as repair_polygon
    from .shapes import fill_box as fill_box
    from .shapes import fill_boxes as fill_boxes
    from .shapes import fill_point as fill_point
    from .shapes import fill_points as fill_points
    from .shapes import round_half_down as round_half_down

_HOMES = {
    "RULES": "polygons",
    "clockwise_from_north": "polygons",
    "fill_box": "shapes",
    "fill_boxes": "shapes",
    "fill_point": "shapes",
    "fill_points": "shapes",
    "fill_polygon": "polygons",
    "fill_polygons": "polygons",
    "is_valid_polygon": "polygons",
    "largest_component": "contours",
    "mask_to_box": "contours",
    "mask_to_center": "contours",
    "mask_to_polygon": "contours",
    "mask_to_polygons": "contours",
    "repair_polygon": "polygons",
    "round_half_down": "shapes",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy(__name__, _HOMES)
