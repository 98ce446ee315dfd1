"""The study's segmenter on a CPU: torch, its plain export, its rewritten export. One thread, least CPU time.

pytest benchmarks/test_bench_export.py -s
"""

import os
import time

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")

from _ratio import ratio_report  # noqa: E402

from voxzoo.export.networks import build  # noqa: E402
from voxzoo.export.networks.cnn3d_seg import WithSigmoid  # noqa: E402
from voxzoo.export.onnx import to_onnx  # noqa: E402
from voxzoo.export.rewrite import slice_volumes  # noqa: E402
from voxzoo.zoo.contract import Contract, OutputSpec  # noqa: E402
from voxzoo.zoo.errors import DeviceError, MissingDependencyError  # noqa: E402
from voxzoo.zoo.runtimes.base import open_session  # noqa: E402

ROUNDS = 5


def contract(name):
    from voxzoo.export.recipe import load_recipe

    recipe = load_recipe(name)
    labels = {1: "whole_tumour"} if recipe.regions == ("wt",) else {1: "necrosis", 2: "edema", 3: "enhancing"}
    output = OutputSpec("probability", "regions", recipe.regions)
    return recipe, Contract(name, "0", "segment", recipe.input, output, labels, recipe.licence)


def sessions(plain, fused):
    """Name -> what answers an input, of every runtime and precision that this machine has."""
    found = {}
    for runtime, precision in (("onnxruntime", "fp32"), ("openvino", "fp32"), ("openvino", "bf16")):
        for form, model in (("plain", plain), ("rewritten", fused)):
            try:
                session = open_session(model, runtime, "cpu", precision, 1)
            except (MissingDependencyError, DeviceError):
                continue
            found[f"{runtime} {precision}, {form}"] = session.run
    return found


def least_cpu_time(calls, x):
    best = dict.fromkeys(calls, np.inf)
    for _ in range(ROUNDS):
        for name, call in calls.items():
            begin = time.process_time()
            call(x)
            best[name] = min(best[name], time.process_time() - begin)
    return best


FLOORS = {"cnn3d-seg": {"onnxruntime fp32, plain": 1 / 0.75, "torch eager": 1 / 0.5}}


@pytest.mark.parametrize("name", ["cnn3d-seg", "resunet3d-seg"])
@pytest.mark.benchmark(group="export", timer=time.process_time)
def test_rewritten_against_plain_export_and_torch(benchmark, name, capsys):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    recipe, made = contract(name)
    network = WithSigmoid(build(recipe.network, **recipe.options)).eval()
    plain = to_onnx(network, made)
    fused = slice_volumes(plain)
    onnx.checker.check_model(fused)
    calls = sessions(plain.SerializeToString(), fused.SerializeToString())
    calls["torch eager"] = lambda x: network(torch.from_numpy(x))
    shape = (1, len(made.input.channels), *made.input.shape)
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    with torch.inference_mode():
        best = least_cpu_time(calls, x)
        expected = calls["torch eager"](x).numpy()
    ours, base = "onnxruntime fp32, rewritten", "onnxruntime fp32, plain"
    assert np.abs(calls[ours](x) - expected).max() <= 5e-5
    others = {k: v for k, v in best.items() if k != ours}
    ratio_report(f"{name} rewritten on onnxruntime, CPU time", best[ours], others, FLOORS.get(name))
    benchmark.extra_info.update(seconds=best, ratio=best[ours] / best[base])
    benchmark.pedantic(calls[ours], args=(x,), rounds=2)
    with capsys.disabled():
        print(f"\n{name}: CPU time of one volume {shape}, one thread ({os.cpu_count()} CPUs)")
        for key, seconds in sorted(best.items(), key=lambda item: item[1]):
            of_plain, of_torch = seconds / best[base], seconds / best["torch eager"]
            print(f"  {seconds * 1e3:8.1f} ms  {key:28}  {of_plain:.2f}x {base}, {of_torch:.2f}x torch eager")
