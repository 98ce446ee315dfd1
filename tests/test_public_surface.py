"""The names that people may rely on, written out: a change here is a change for every user."""

import subprocess
import sys

import pytest

import voxzoo
import voxzoo.eval
import voxzoo.rasterize
import voxzoo.zoo
from voxzoo.zoo import errors

SURFACE = {
    "voxzoo": ("__version__", "eval", "evaluate", "load", "models", "rasterize", "zoo"),
    "voxzoo.eval": (
        "Aggregate",
        "CaseRecord",
        "ClassCounts",
        "Confusion",
        "Counts",
        "Options",
        "Results",
        "Scores",
        "SurfaceDistances",
        "accuracy",
        "assd",
        "auc",
        "balanced_accuracy",
        "bootstrap_ci",
        "confusion",
        "count",
        "count_classes",
        "count_slices",
        "diagonal_mm",
        "dice",
        "dice_slices",
        "ece",
        "evaluate",
        "hd",
        "hd95",
        "hd95_slices",
        "hd_percentile",
        "iou",
        "lesion_counts",
        "lesion_f1",
        "lesion_wise",
        "macro_f1",
        "mcc",
        "nsd",
        "precision",
        "recall",
        "score",
        "specificity",
        "surface_metrics",
        "volume_error_ml",
        "volume_error_rel",
        "volume_ml",
    ),
    "voxzoo.rasterize": (
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
    ),
    "voxzoo.zoo": (
        "Case",
        "Classification",
        "Contract",
        "Dataset",
        "Grid",
        "ImageCase",
        "ImageSpec",
        "InputSpec",
        "LicenceSpec",
        "Mask",
        "Model",
        "OutputSpec",
        "Prediction",
        "ResearchOnlyWarning",
        "RuntimeInfo",
        "Splits",
        "case_from_arrays",
        "case_from_folder",
        "errors",
        "load",
        "make_splits",
        "names",
        "open_dataset",
        "read_contract",
        "read_nifti",
        "resolve",
        "write_contract",
        "write_nifti",
    ),
}
ERRORS = (
    "CaseError",
    "ContractError",
    "DeviceError",
    "GeometryError",
    "GridError",
    "InputError",
    "IntegrityError",
    "LabelError",
    "MissingDependencyError",
    "MissingModalityError",
    "ModelError",
    "ModelNotFoundError",
    "RunError",
    "UsageError",
    "VoxzooError",
)
HEAVY = ("torch", "numba", "scipy", "nibabel", "cv2", "onnxruntime", "openvino", "rich", "matplotlib")


def in_a_new_process(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", SURFACE)
def test_exported_names(name):
    module = sys.modules[name]
    assert tuple(sorted(module.__all__)) == SURFACE[name]
    for public in SURFACE[name]:
        assert getattr(module, public) is not None
    assert set(SURFACE[name]) <= set(dir(module))


@pytest.mark.parametrize("name", SURFACE)
def test_other_names_are_attribute_errors(name):
    with pytest.raises(AttributeError, match="no attribute 'surprise'"):
        _ = sys.modules[name].surprise


def test_exceptions():
    assert tuple(sorted(errors.__all__)) == ERRORS
    for name in ERRORS:
        assert issubclass(getattr(errors, name), errors.VoxzooError)


def test_importing_is_light():
    code = f"import sys, voxzoo; dir(voxzoo); print(*[m for m in {HEAVY} if m in sys.modules])"
    assert in_a_new_process(code) == ""


def test_the_parts_are_there_after_importing_voxzoo():
    code = "import voxzoo; voxzoo.zoo.Mask, voxzoo.rasterize.fill_box, voxzoo.eval; print('there')"
    assert in_a_new_process(code) == "there"


def test_torch_is_not_needed_to_load_and_predict():
    code = (
        "import sys, voxzoo, numpy as np; sys.modules['torch'] = None\n"
        "mask = voxzoo.load('baseline:flair-threshold')(np.ones((1, 4, 5, 6)), spacing_mm=(1, 1, 1))\n"
        "print(mask.array.shape)"
    )
    assert in_a_new_process(code) == "(4, 5, 6)"


def test_the_version_is_the_packages():
    from importlib.metadata import version

    assert voxzoo.__version__ == version("voxzoo")
    assert voxzoo.models()[-1] == "baseline:flair-threshold"
