"""Results files written by hand, as a stranger could have written them, not by our own writer."""

import copy
import json

import pytest

VALUES = (0.9, 0.5, 0.8, 0.1)
SIZES = (150.0, 20.0, 60.0, 10.0)


def aggregate(mean, n=4, missing=0, empty=0, ci95=None):
    return {"mean": mean, "ci95": ci95, "n": n, "missing": missing, "empty": empty}


def case(index, metrics, model="toy", **more):
    plain = {
        "model": model,
        "case": f"c{index}",
        "patient": f"p{index}",
        "status": "scored",
        "reason": "",
        "key": f"k{index}",
        "fingerprint": f"f{index}",
        "metrics": metrics,
        "empty_prediction": {},
        "empty_reference": {},
        "shape": [4, 4, 4],
        "spacing_mm": [1.0, 1.0, 1.0],
        "slices": 4,
        "diagonal_mm": 7.0,
        "reference_ml": {},
        "facts": {},
        "seconds": {"infer": 0.5},
        "mask_sha256": "",
        "reference": "",
        "answer": {},
    }
    return {**plain, **more}


def scores(name, task_part, cases, figures):
    return {
        "model": {"name": name, "found": "file /home/someone/secret/toy.onnx", "content_sha256": "ab" * 32},
        "contract": None,
        "runtime": {"name": "toy", "version": "1", "device": "cpu", "precision": "fp32", "threads": 1},
        "regions": {},
        "counts": {"cases": len(cases), "patients": len(cases), "failed": 0, "axial_slices": 16},
        "aggregate": figures,
        "undefined": {},
        "empties": {},
        "times": {"cases": 4, "seconds_per_patient": {"total": 2.0}, "seconds_per_axial_slice": 0.25},
        **task_part,
        "cases": cases,
    }  # fmt: skip


def results(task, part, options, cases, figures, name="toy", data="toys"):
    return {
        "schema": "voxzoo.results/1",
        "task": task,
        **scores(name, part, cases, figures),
        "dataset": {
            "name": data,
            "kind": "brats",
            "licence": "CC0",
            "source": "/home/someone/secret/data",
            "sha256": "cd" * 32,
        },
        "options": options,
        "code_version": "0123456789abcdef",
        "environment": {"cpu": "A CPU", "platform": "Linux-6.1.0-somewhere-x86_64"},
        "session": {"started": "2026-01-02T03:04:05+00:00", "wall_seconds": 1.0},
        "baselines": {},
    }


def segment_results(name="toy", values=VALUES, **more):
    cases = [
        case(i, {"dice": v, "hd95": 10 * (1 - v), "nsd": v, "volume_ref_ml": ml}, model=name)
        for i, (v, ml) in enumerate(zip(values, SIZES, strict=True))
    ]
    figures = {
        "dice": aggregate(sum(values) / 4, ci95=[0.2, 0.8]),
        "hd95": aggregate(10 * (1 - sum(values) / 4)),
        "nsd": aggregate(sum(values) / 4),
    }
    options = {"preset": "medpy", "empty": "penalty", "tolerance_mm": 1.0, "seed": 0}
    return {**results("segment", {}, options, cases, figures, name), **more}


def classify_results(name="toy"):
    """Truth a a b b; answered a b b b, one of them sure and wrong."""
    answers = [("a", "a", 0.9), ("a", "b", 0.8), ("b", "b", 0.7), ("b", "b", 0.6)]
    cases = [
        case(
            i,
            {"correct": float(truth == said), "p_true": p if truth == said else 1 - p},
            reference=truth,
            answer={"label": said, "probabilities": {said: p, "ab".replace(said, ""): 1 - p}},
        )
        for i, (truth, said, p) in enumerate(answers)
    ]
    part = {
        "target": "class",
        "classes": ["a", "b"],
        "support": {"a": 2, "b": 2},
        "confusion": {"reference": ["a", "b"], "answer": ["a", "b", None], "counts": [[1, 1, 0], [0, 2, 0]]},
        "calibration": {
            "bins": 15,
            "confidence": 0.75,
            "accuracy": 0.75,
            "curve": [{"low": 0.6, "high": 0.6667, "n": 4, "confidence": 0.75, "accuracy": 0.75}],
        },
    }
    figures = {"balanced_accuracy": aggregate(0.75), "auc": aggregate(None), "recall_a": aggregate(0.5, n=2)}
    return results("classify", part, {"seed": 0}, cases, figures, name)


ENERGY = {
    "joules": 32.0,
    "low": 16.0,
    "high": 64.0,
    "method": "estimate",
    "measured": False,
    "seconds": 4.0,
    "updates": None,
    "covers": "CPU time",
    "reason": "",
    "axial_slices": 16,
    "gco2e_per_1000_slices": {"grams": 0.5, "low": 0.25, "high": 1.0},
    "grid": {
        "g_per_kwh": 100.0,
        "country": "FRA",
        "name": "France",
        "year": 2023,
        "source": "a table",
        "pue": 1.0,
        "assumed": False,
    },
}
ENERGY["per_axial_slice"] = {
    **{
        k: v
        for k, v in ENERGY.items()
        if k in ("method", "measured", "seconds", "updates", "covers", "reason")
    },
    "joules": 2.0,
    "low": 1.0,
    "high": 4.0,
}


class Maker:
    """Results by hand, and files of them."""

    segment, classify = staticmethod(segment_results), staticmethod(classify_results)
    case, aggregate = staticmethod(case), staticmethod(aggregate)

    def __init__(self, folder):
        self.folder = folder

    @property
    def energy(self):
        return copy.deepcopy(ENERGY)

    def write(self, plain, name="run"):
        """A run folder."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.json").write_text(json.dumps(plain), encoding="utf-8")
        return folder


@pytest.fixture
def made(tmp_path):
    return Maker(tmp_path)
