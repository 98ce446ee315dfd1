"""A whole patient through a large network: seconds of each step and the most memory, per runtime.

The network is ``resunet3d-seg``: as it is bundled, the mean of its folds, for a whole brain at 2 mm; one fold
of random weights, which cost what trained ones do, where the window slides. Each way of running it has
a process of its own, since a process cannot forget its peak. Run it with

    pytest benchmarks/test_bench_patient.py -s

Below it are the pieces: labels written slab by slab beside restored probabilities, components on runs beside
scipy's, the study's equalisation beside scikit-image's, and a volume of 512 x 512 x 600 in bounded memory.
"""

import json
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest
from _ratio import fastest, has_amx, ratio_report
from scipy import ndimage

from voxzoo.zoo import paper
from voxzoo.zoo.cases import ArraySource, Case
from voxzoo.zoo.cleanup import drop_small
from voxzoo.zoo.contract import Contract, InputSpec, LicenceSpec, OutputSpec
from voxzoo.zoo.decode import LabelWriter, decode
from voxzoo.zoo.grid import Grid
from voxzoo.zoo.nifti import write_nifti
from voxzoo.zoo.phantom import phantom_dataset
from voxzoo.zoo.plan import make_plan
from voxzoo.zoo.preprocess import restore
from voxzoo.zoo.tasks import segment

CHANNELS = ("flair", "t1", "t1ce", "t2")
REGIONS = ("wt", "tc", "et")
WHOLE = InputSpec("image", CHANNELS, (80, 96, 80), (2.0, 2.0, 2.0), clip_percentiles=(0.5, 99.5))
SLIDING = replace(WHOLE, spacing_mm=(1.0, 1.0, 1.0), window="sliding", overlap=0.25)
WAYS = [
    ("onnxruntime", "fp32", "none"),
    ("openvino", "fp32", "none"),
    ("openvino", "bf16", "none"),
    ("openvino", "bf16", "lr"),
]

ONE = """
    import json, sys, time
    from voxzoo.zoo import registry
    from voxzoo.zoo.cases import case_from_folder
    path, folder, runtime, precision, flips = sys.argv[1:]
    def peak():  # not getrusage's, which begins with the parent's
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))
    model = registry.load(path, runtime=runtime, precision=precision, threads=1, flips=flips)
    loaded, best = peak(), {}
    for _ in range(2):
        marks = [time.process_time()]
        prepared = model.prepare(case_from_folder(folder)); marks.append(time.process_time())
        answer = model.infer(prepared); marks.append(time.process_time())
        model.finish(answer, prepared); marks.append(time.process_time())
        for name, a, b in zip(("prepare", "infer", "finish"), marks, marks[1:]):
            best[name] = min(best.get(name, b - a), b - a)
    print(json.dumps({**best, "loaded_mib": loaded, "peak_mib": peak()}))
"""


def contract_of(spec, **output):
    return Contract(
        name="resunet3d-seg",
        version="0",
        task="segment",
        input=spec,
        output=OutputSpec("probability", "regions", REGIONS, "sigmoid", **output),
        labels=segment.region_labels(REGIONS),
        licence=LicenceSpec("Apache-2.0", "random weights", "confirmed"),
    )


@pytest.fixture(scope="module")
def network():
    torch = pytest.importorskip("torch", reason='pip install "voxzoo[train]"')
    from voxzoo.export.networks.resunet3d_seg import ResUNet3D

    torch.manual_seed(0)
    torch.set_num_threads(1)
    return ResUNet3D()


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    """A made patient of BraTS's size, as four files."""
    folder = tmp_path_factory.mktemp("patient")
    case = phantom_dataset(n=1, seed=3, shape=(240, 240, 155), spacing_mm=1.0).cases[0]
    for name in CHANNELS:
        write_nifti(folder / f"p_{name}.nii.gz", case.read_image(name), case.grid().affine)
    return folder


def one(path, folder, way):
    code = [sys.executable, "-c", textwrap.dedent(ONE), str(path), str(folder), *way]
    done = subprocess.run(code, capture_output=True, text=True)
    if done.returncode:
        return {"refused": done.stderr.strip().splitlines()[-1]}
    return json.loads(done.stdout)


def test_a_patient_of_the_bundled_model(patient, capsys):
    report("whole brain at 2 mm", {way: one("resunet3d-seg", patient, way) for way in WAYS}, capsys)


def test_a_patient_under_a_sliding_window(network, patient, tmp_path, capsys):
    from voxzoo.export.onnx import export_onnx

    path = tmp_path / "resunet.onnx"
    export_onnx(network, contract_of(SLIDING, min_component_share=0.1), path)
    report("sliding at 1 mm", {way: one(path, patient, way) for way in WAYS[1:3]}, capsys)


def report(name, found, capsys):
    """The table, and bf16 beside onnxruntime where both run."""
    with capsys.disabled():
        print(f"\n{name}, CPU seconds, one thread     prepare  infer  finish   loaded     peak MiB")
        for way, row in found.items():
            if "refused" in row:
                print(f"  {' '.join(way):32} {row['refused']}")
                continue
            print(
                f"  {' '.join(way):32} {row['prepare']:7.3f} {row['infer']:6.2f} {row['finish']:7.3f}"
                f"  {row['loaded_mib']:7.0f} {row['peak_mib']:9.0f}"
            )
    base, fast = found.get(WAYS[0], {}), found.get(WAYS[2], {})
    if "infer" in base and "infer" in fast:
        floors = {"onnxruntime fp32": 6} if has_amx() else {}
        peers = {"onnxruntime fp32": base["infer"]}
        ratio_report(f"resunet3d-seg, {name}, bf16, CPU time", fast["infer"], peers, floors)
    assert any("infer" in row for row in found.values())


def test_labels_slab_by_slab():
    """Three regions of 80 x 96 x 80 at 2 mm onto 240 x 240 x 155."""
    grid = Grid((240, 240, 155), np.diag([-1.0, -1.0, 1.0, 1.0]))
    plan = make_plan(grid, WHOLE, ((40, 200), (30, 210), (5, 145)))
    rng = np.random.default_rng(0)
    prob = ndimage.gaussian_filter(rng.random((3, *plan.shape)), (0, 3, 3, 3)).astype(np.float32)
    prob = np.clip(0.5 + 12 * (prob - np.quantile(prob, 0.95)), 0, 1)
    contract = contract_of(WHOLE)

    def whole():
        above = restore(prob, plan) > np.float32(0.5)
        labels = np.zeros(grid.shape, np.uint8, order="F")
        for channel, value in segment.paint_order(REGIONS):
            labels[above[channel]] = value
        return labels

    def slabs():
        writer = LabelWriter(plan, contract)
        for z in range(0, 80, 16):
            writer.add(prob[:, z : z + 16])
        return writer.labels

    np.testing.assert_array_equal(whole(), slabs())
    best = fastest({"ours": lambda: decode(prob, plan, contract), "whole": whole, "slabs": slabs}, 2)
    ratio_report("labels of 3 regions", best["ours"], {"restore, compare, paint": best["whole"]})
    ratio_report("labels in slabs", best["slabs"], {"restore, compare, paint": best["whole"]})


def test_components():
    rng = np.random.default_rng(0)
    field = ndimage.gaussian_filter(rng.random((240, 240, 155)), 3)
    labels = np.asfortranarray(field > np.quantile(field, 0.9)).astype(np.uint8, order="F")

    def peer():
        parts, _ = ndimage.label(labels, np.ones((3, 3, 3)))
        return np.where((np.bincount(parts.ravel(order="K")) < 100)[parts], 0, labels)

    def ours():
        found = labels.copy(order="F")
        drop_small(found, (1, 1, 1), 100)
        return found

    np.testing.assert_array_equal(ours(), peer())
    best = fastest({"ours": ours, "scipy": peer}, 1)
    ratio_report("small components, 240x240x155", best["ours"], {"scipy.ndimage": best["scipy"]})


def test_the_studys_preprocessing():
    exposure = pytest.importorskip("skimage.exposure", reason='pip install "voxzoo[dev]"')
    case = phantom_dataset(n=1, seed=3, shape=(240, 240, 155), spacing_mm=1.0).cases[0]
    arrays = {name: np.asfortranarray(case.read_image(name)) for name in CHANNELS}  # as files have them
    images = {name: ArraySource(array, case.grid().affine, name) for name, array in arrays.items()}
    case = Case("k", "k", images)
    spec = InputSpec("x", CHANNELS, (95, 128, 128), (1.0,) * 3, normalise="none", preprocessing="paper")
    box = paper.read(case, spec)
    native = [arrays[name][..., 30:-30] for name in CHANNELS]

    def peer():
        stacked = np.stack(native)
        inside = [np.flatnonzero((stacked != 0).any(axis=other)) for other in ((0, 2, 3), (0, 1, 3))]
        (a, *_, b), (c, *_, d) = inside
        part = stacked[:, a : b + 1, c : d + 1]
        brain = part != 0
        part = np.clip(part, *np.percentile(part[brain], (1, 99)))
        return np.where(brain, exposure.equalize_hist(part, nbins=256, mask=brain), 0)

    np.testing.assert_allclose(box.tensor, peer().transpose(0, 3, 2, 1)[:, :, ::-1, ::-1], atol=2e-6)
    best = fastest({"ours": lambda: paper.read(case, spec), "peer": peer}, 1)
    ratio_report("the study's preprocessing", best["ours"], {"numpy + scikit-image": best["peer"]})


LARGE = """
    import json, time
    import numpy as np
    from voxzoo.zoo.cases import ArraySource, Case
    from voxzoo.zoo.contract import Contract, InputSpec, LicenceSpec, OutputSpec
    from voxzoo.zoo.runtimes.base import Port, RuntimeInfo
    from voxzoo.zoo.sliding import SlidingModel

    WINDOW, CHANNELS, SHAPE = (80, 96, 80), ("flair", "t1", "t1ce", "t2"), (512, 512, 600)

    class Session:
        info = RuntimeInfo("fake", "0", "cpu", "fp32", 1)
        inputs = (Port("x", (1, 4, *WINDOW), "float32"),)
        outputs = (Port("y", (1, 3, *WINDOW), "float32"),)

        def run(self, tensor, output=None):
            return (tensor[:, :3] > 1.0).astype(np.float32)

    model = SlidingModel(
        Contract(
            name="t", version="0", task="segment",
            input=InputSpec("x", CHANNELS, WINDOW, (1.0, 1.0, 1.0), clip_percentiles=(0.5, 99.5),
                            window="sliding", overlap=0.25),
            output=OutputSpec("y", "regions", ("wt", "tc", "et"), min_component_mm3=100.0),
            labels={1: "necrosis", 2: "edema", 3: "enhancing"},
            licence=LicenceSpec("MIT", "none", "confirmed"),
        ), Session(), "here", "0")
    image = np.zeros(SHAPE, np.int16, order="F")
    image[20:-20, 20:-20, 20:-20] = np.arange(560, dtype=np.int16)[None, None] // 4 + 50
    image[200:300, 200:300, 200:300] = 400
    case = Case("k", "k", {name: ArraySource(image, np.eye(4), name) for name in CHANNELS})
    def peak():  # not getrusage's, which begins with the parent's
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))
    before, begin = peak(), time.process_time()
    mask = model.predict(case)
    print(json.dumps({"seconds": time.process_time() - begin, "grown_mib": peak() - before,
                      "tumour": int(np.count_nonzero(mask.mask.array))}))
"""


def test_a_volume_of_512_512_600(capsys):
    """One image in memory stands for four: what grows is the model's own."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LARGE)], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    voxels = 512 * 512 * 600 / 2**20
    with capsys.disabled():
        print(
            f"\n512 x 512 x 600, 3 regions, 4 channels, without the network: {found['seconds']:.1f} s CPU, "
            f"{found['grown_mib']:.0f} MiB more than the images\n"
            f"  (labels {voxels:.0f} MiB; probabilities would be {12 * voxels:.0f}, the resampled images "
            f"{16 * voxels:.0f})"
        )
    assert found["tumour"] > 0
    assert found["grown_mib"] < 12 * voxels / 2
