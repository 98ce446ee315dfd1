"""kill -9 at many moments of a training: the same command ends with the same curve and the same weights.

One process imports torch and forks a child per moment; a child dies by SIGKILL before or after a chosen
file operation or step, and a second child goes on in the same folder.
"""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("torch")

SUPERVISOR = """
import dataclasses, filecmp, json, os, shutil, signal, sys
from unittest import mock
from pathlib import Path
import numpy as np, torch
from voxzoo.export.progress import Silent
from voxzoo.export.recipe import load_recipe
from voxzoo.export.samples import TrainingVolume
from voxzoo.export.tasks.segment import SegmentTask, TrainingSet
from voxzoo.export.train import train

torch.set_num_threads(1)
root = Path(sys.argv[1])


def volume(seed):
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 0.3, (4, 16, 16, 16)).astype(np.float16)
    label = np.zeros((3, 16, 16, 16), np.uint8)
    label[:, 4:10, 5:12, 4:12] = 255
    image[:, label[0] > 0] += 2
    return TrainingVolume(f"case{seed}", image, label, np.argwhere(label[0] > 127).astype(np.int16))


recipe = load_recipe("resunet3d-seg")
fit = dataclasses.replace(
    recipe.fit, steps=6, epochs=0, batch=2, crop=(16, 16, 16), validate_every=2, warmup=1, keep="best"
)
options = {"widths": [8, 16], "blocks": [1, 1], "dropout": 0.3}  # dropout: the random state matters
pretrain = type(recipe.pretrain)()
recipe = dataclasses.replace(recipe, fit=fit, options=options, pretrain=pretrain)
data = TrainingSet([volume(0), volume(1)], [volume(2)], [volume(3)])


def run(folder, moment):
    seen = 0

    def event():
        nonlocal seen
        seen += 1
        if seen == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(real):
        def wrapped(*args, **kwargs):
            event()
            out = real(*args, **kwargs)
            event()
            return out
        return wrapped

    class Steps(Silent):
        def tick(self, step, loss):
            event()

    watched = {"replace": around(os.replace), "fsync": around(os.fsync)}
    with mock.patch.multiple(os, **watched):
        train(recipe, SegmentTask(recipe, data), folder, progress=Steps())
    return seen


def forked(folder, moment):
    pid = os.fork()
    if pid == 0:
        try:
            run(folder, moment)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1]


events = run(root / "whole", 0)  # in this process, so that children find everything imported
moments = sorted({1 + round(i * (events - 1) / 9) for i in range(10)})
report = {"events": events, "killed": 0, "failed": 0, "different": []}
for moment in moments:
    cut = root / f"cut{moment}"
    report["killed"] += os.WTERMSIG(forked(cut, moment)) == signal.SIGKILL
    report["failed"] += forked(cut, 0) != 0
    for name in ("curve.jsonl", "curve.csv", "curve.svg", "weights.safetensors", "best.safetensors"):
        if not filecmp.cmp(root / "whole" / name, cut / name, shallow=False):
            report["different"].append([moment, name])
    shutil.rmtree(cut)
report["moments"] = len(moments)
report["lines"] = len((root / "whole/curve.jsonl").read_text().splitlines())
print(json.dumps(report))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_killed_at_any_moment_it_ends_the_same(tmp_path):
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SUPERVISOR, str(tmp_path)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert report["lines"] == 3
    assert report["events"] > 30
    assert report["killed"] == report["moments"] == 10
    assert report["failed"] == 0, done.stderr[-2000:]
    assert report["different"] == []
