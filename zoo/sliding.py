"""A model whose window slides over the brain, in memory that does not grow with classes or voxels.

What exists at a time: the images as stored, one window of the network's input, a buffer of probabilities as
deep as a window, and the labels (a byte a voxel). Neither the resampled images nor the probabilities of the
whole volume do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .cleanup import clean
from .decode import LabelWriter
from .inputs import check_case
from .intensity import intensity_map
from .mask import Mask
from .plan import Plan, make_plan
from .resample import IntensityMap, Tables, gather
from .scan import read_scan
from .volume_model import VolumeModel
from .voxels import flat_view
from .windows import Corner, Windows, slabs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .cases import Case
    from .contract import InputSpec


@dataclass(frozen=True, eq=False)
class WindowedScan:
    """A case of which any window can be had, without ever being whole on the model's grid.

    Attributes:
        plan: the geometry; its shape is that of everything the window slides over.
        images: of each channel the native voxels, flat and read-only, and their strides along (D, H, W).
        maps: of each channel, what clips and normalises it.
    """

    plan: Plan
    images: Sequence[tuple[NDArray[np.generic], NDArray[np.int64]]]
    maps: Sequence[IntensityMap]

    def window(self, corner: Sequence[int], shape: Sequence[int]) -> NDArray[np.float32]:
        """(C, *shape) float32 from ``corner`` on: a part of ``preprocess.prepare``'s tensor, bit for bit."""
        places = zip(self.plan.forward, corner, shape, strict=True)
        tables: Tables = tuple(table.part(c, c + n) for table, c, n in places)  # type: ignore[assignment]
        out = np.empty((len(self.images), *shape), dtype=np.float32)
        for (flat, strides), intensity, channel in zip(self.images, self.maps, out, strict=True):
            gather(flat, strides, tables, intensity, channel)
        return out


def prepare_windows(case: Case, spec: InputSpec) -> WindowedScan:
    """Read a case for a sliding window.

    Raises:
        MissingModalityError, GridError, CaseError: as ``preprocess.prepare``.
    """
    scan = read_scan(case, spec.channels)
    plan = make_plan(scan.grid, spec, scan.box())
    maps = [intensity_map(image, spec) for image in scan.images]
    views = [flat_view(image) for image in scan.images]
    return WindowedScan(plan, [(flat, strides[list(plan.axes)]) for flat, strides in views], maps)


class SlidingModel(VolumeModel):
    """A network from window to window, slid over the brain (or the volume, with crop "center").

    A window without a voxel that is not 0 is not run: there is no tumour outside the brain.
    """

    def prepare(self, case: Case) -> WindowedScan:  # type: ignore[override]
        """The case's images, and the way from the network's grid back.

        Raises:
            CaseError: as ``preprocess.prepare``.
        """
        check_case(case, self._spec)
        return prepare_windows(case, self._spec)

    def infer(self, prepared: WindowedScan) -> NDArray[np.uint8]:  # type: ignore[override]
        """Labels on the case's own grid, before anything is cleaned up.

        Raises:
            ModelError: the network fails, or gives another shape than it should, or NaN.
        """
        spec, contract = self._spec, self.contract

        def answer(corner: Corner) -> NDArray[np.float32] | None:
            tensor = prepared.window(corner, spec.shape)
            return self.probabilities(tensor) if tensor.any() else None

        writer = LabelWriter(prepared.plan, contract)
        windows = Windows.of(prepared.plan.shape, spec.shape, spec.overlap)
        for slab in slabs(windows, len(contract.output.channels), answer):
            writer.add(slab)
        return writer.labels

    def finish(self, answer: NDArray[np.uint8], prepared: WindowedScan) -> Mask:  # type: ignore[override]
        """The mask: what is too small is removed from the labels, in place."""
        grid, contract = prepared.plan.grid, self.contract
        labels = clean(answer, grid.spacing_mm, contract.output)
        return Mask(labels, contract.labels, grid.affine, contract.regions)
