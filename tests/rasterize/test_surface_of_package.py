"""What ``voxzoo.rasterize`` offers, and what importing it costs."""

import subprocess
import sys

import voxzoo.rasterize as rasterize


def test_names_are_those_promised():
    assert sorted(rasterize.__all__) == [
        "RULES",
        "clockwise_from_north",
        "fill_box",
        "fill_boxes",
        "fill_point",
        "fill_points",
        "fill_polygon",
        "fill_polygons",
        "is_valid_polygon",
        "largest_component",
        "mask_to_box",
        "mask_to_center",
        "mask_to_polygon",
        "mask_to_polygons",
        "repair_polygon",
        "round_half_down",
    ]
    for name in rasterize.__all__:
        assert getattr(rasterize, name) is not None


def test_errors_can_be_imported_without_numba():
    heavy = "('numba', 'cv2', 'shapely')"
    code = f"import sys, voxzoo.rasterize.errors; print(any(m in sys.modules for m in {heavy}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
