"""Models and datasets that do not belong together are told before any work."""

import numpy as np
import pytest

import voxzoo
from voxzoo.zoo.errors import UsageError

cv2 = pytest.importorskip("cv2")


def test_a_segmenter_on_images(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        assert cv2.imwrite(str(tmp_path / "set" / name / "x.png"), np.zeros((4, 4), np.uint8))
    with pytest.raises(UsageError, match="set: holds 2-D images, and the model segments volumes"):
        voxzoo.evaluate("baseline:flair-threshold", tmp_path / "set")
