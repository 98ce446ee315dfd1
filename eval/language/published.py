"""What the study published, and which run belongs to which row of its tables.

Source: F. Liu, J. J. Yoo, F. Khalvati, 2025, arXiv 2509.10683: glioma grade and segmentation on 55 test
patients of BraTS 2020, 3D CNNs beside LLaMA 3.2 11B Vision before (general) and after LoRA (fine-tuned).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SOURCE = "Liu, Yoo, Khalvati 2025, arXiv 2509.10683"
CNN_CONFUSION = ("200", "testing")
"""Where ``classification_confusions.json`` has the CNN of Table 2: its epochs, and the cohort."""
TITLES = {
    "grade": "Classification: low or high grade",
    "center": "Segmentation as a point: the centre of the tumour",
    "box": "Segmentation as a box",
    "polygon": "Segmentation as a polygon",
}


@dataclass(frozen=True)
class Row:
    """One row of a published table.

    Attributes:
        name: by which a run is given for it, unless the run itself says where it belongs.
        task: of the prompt; the CNN's masks (Table 5) stand beside boxes and beside polygons.
        model: as the table shows it.
        table: its number in the publication.
        figures: metric name -> published value.
    """

    name: str
    task: str
    model: str
    table: int
    figures: Mapping[str, float]


def _grade(*values: float) -> dict[str, float]:
    names = ("accuracy", "f1", "precision", "recall", "specificity", "auc")
    return dict(zip(names, values, strict=False))


def _center(*values: float) -> dict[str, float]:
    return dict(zip(("in_box", "shortest_p95", "euclid_p95"), values, strict=True))


def _region(*values: float) -> dict[str, float]:
    return dict(zip(("dice", "hd95", "precision", "recall", "specificity"), values, strict=True))


_MASKS = _region(0.5942, 50.5580, 0.6765, 0.7163, 0.9445)
ROWS = (
    Row("cnn", "grade", "CNN", 2, _grade(0.8000, 0.8706, 0.9024, 0.8409, 0.6364, 0.8202)),
    Row("general-axial", "grade", "general, axial", 3, _grade(0.7818, 0.8776, 0.7963, 0.9773, 0.0)),
    Row("general-coronal", "grade", "general, coronal", 3, _grade(0.8000, 0.8889, 0.8000, 1.0, 0.0)),
    Row("general-sagittal", "grade", "general, sagittal", 3, _grade(0.7963, 0.8842, 0.8077, 0.9767, 0.0909)),
    Row("general-small", "grade", "general, inner slices", 4, _grade(0.7636, 0.8602, 0.8163, 0.9091, 0.1818)),
    Row("100-steps", "grade", "fine-tuned, 100 steps", 4, _grade(0.76, 0.8537, 0.8333, 0.875, 0.3)),
    Row("full-epoch", "grade", "fine-tuned, full epoch", 4, _grade(0.6667, 0.7733, 0.8529, 0.7073, 0.5)),
    Row("general", "center", "general", 6, _center(0.0805, 22.8566, 57.4112)),
    Row("fine-tuned", "center", "fine-tuned", 7, _center(0.0800, 26.2855, 68.4812)),
    Row("cnn", "box", "CNN (masks)", 5, _MASKS),
    Row("general", "box", "general", 8, _region(0.1219, 65.9103, 0.0989, 0.2941, 0.7623)),
    Row("fine-tuned", "box", "fine-tuned", 9, _region(0.1085, 67.3812, 0.0882, 0.2413, 0.8137)),
    Row("cnn", "polygon", "CNN (masks)", 5, _MASKS),
    Row("general", "polygon", "general", 10, _region(0.0412, 92.4296, 0.0432, 0.0502, 0.9371)),
    Row("fine-tuned", "polygon", "fine-tuned", 11, _region(0.0335, 86.9709, 0.0487, 0.0296, 0.9568)),
)
"""All of them, in the order in which they are shown."""


def row_of(task: str, name: str, model: str, plane: str, slices: str) -> Row | None:
    """The row that a run is about; None if it is about none.

    Args:
        task: of the run.
        name: that it was given, which settles it if it is the name of a row of the task.
        model: who answered, as the transcript says: with "general" or "tuned" in it.
        plane: of the slices.
        slices: the rule of slices under the protocol ``paper``.

    Example:
        >>> row_of("grade", "", "general", "coronal", "all").table
        3
        >>> row_of("box", "", "another", "axial", "all") is None
        True
    """
    rows = {row.name: row for row in ROWS if row.task == task and row.name != "cnn"}
    if name in rows:
        return rows[name]
    general, tuned = "general" in model.lower(), "tuned" in model.lower()
    if task == "grade":
        small = "general-small" if slices == "core20" else f"general-{plane}"
        whole = any(word in model.lower() for word in ("epoch", "full"))
        steps = "100-steps" if "100" in model else "full-epoch" if whole else ""
        return rows.get(small if general else steps if tuned else "")
    return rows.get("general" if general else "fine-tuned" if tuned else "") if plane == "axial" else None
