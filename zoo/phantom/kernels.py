"""The loops over voxels that make a phantom: sample the anatomy, grow, paint, acquire, finish.

All of them run over an axis-aligned lattice given by its origin and its signed steps in world mm (right,
anterior, superior), so that one anatomy can be sampled on any grid. ``Any`` stands for numpy arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...rasterize.jit import kernel

_FAR = np.float32(1e4)

_LOWEST = -60.0
"""Template z in mm at which the brainstem is cut, as brain extraction does in patients."""


@kernel(inline="always")
def _clamp01(value: float) -> float:
    return min(max(value, 0.0), 1.0)


@kernel
def _tile_row(tile: Any, view: Any, x: float, y: float, row: Any) -> None:
    """The periodic noise tile along z at one (x, y), into ``row`` (size, 4); its size is a power of two."""
    mask = tile.shape[0] - 1
    u, v = view[0, 0] * x + view[0, 1], view[1, 0] * y + view[1, 1]
    i, j = int(np.floor(u)), int(np.floor(v))
    fu, fv = np.float32(u - i), np.float32(v - j)
    gu, gv = np.float32(1) - fu, np.float32(1) - fv
    _blend_rows(
        tile, i & mask, j & mask, (i + 1) & mask, (j + 1) & mask, gu * gv, gu * fv, fu * gv, fu * fv, row
    )


@kernel
def _lattice_row(lattice: Any, origin: Any, spacing: float, x: float, y: float, row: Any) -> None:
    """A (X, Y, Z, 4) lattice along z at one (x, y), into ``row`` (Z, 4); held constant beyond its ends."""
    u = min(max((x - origin[0]) / spacing, 0.0), lattice.shape[0] - 1.001)
    v = min(max((y - origin[1]) / spacing, 0.0), lattice.shape[1] - 1.001)
    i, j = int(u), int(v)
    fu, fv = np.float32(u - i), np.float32(v - j)
    gu, gv = np.float32(1) - fu, np.float32(1) - fv
    _blend_rows(lattice, i, j, i + 1, j + 1, gu * gv, gu * fv, fu * gv, fu * fv, row)


@kernel
def _blend_rows(f: Any, i: int, j: int, ii: int, jj: int, a: Any, b: Any, c: Any, d: Any, row: Any) -> None:
    for k in range(row.shape[0]):
        for n in range(4):
            row[k, n] = a * f[i, j, k, n] + b * f[i, jj, k, n] + c * f[ii, j, k, n] + d * f[ii, jj, k, n]


@kernel
def _along_tile(row: Any, view: Any, z: float) -> Any:
    """Four fields at z in a row made by ``_tile_row``."""
    w = view[2, 0] * z + view[2, 1]
    k = int(np.floor(w))
    mask = row.shape[0] - 1
    return _mix(row, k & mask, (k + 1) & mask, np.float32(w - k))


@kernel
def _along_lattice(row: Any, start: float, spacing: float, z: float) -> Any:
    """Four channels at z in a row made by ``_lattice_row``."""
    w = min(max((z - start) / spacing, 0.0), row.shape[0] - 1.001)
    k = int(w)
    return _mix(row, k, k + 1, np.float32(w - k))


@kernel
def _mix(row: Any, k: int, kk: int, f: Any) -> Any:
    g = np.float32(1) - f
    return (
        g * row[k, 0] + f * row[kk, 0],
        g * row[k, 1] + f * row[kk, 1],
        g * row[k, 2] + f * row[kk, 2],
        g * row[k, 3] + f * row[kk, 3],
    )


@kernel
def _lattice_at(lattice: Any, origin: Any, spacing: float, x: float, y: float, z: float) -> Any:
    """Trilinear look-up in a (X, Y, Z, 4) lattice, held constant beyond its ends."""
    u = min(max((x - origin[0]) / spacing, 0.0), lattice.shape[0] - 1.001)
    v = min(max((y - origin[1]) / spacing, 0.0), lattice.shape[1] - 1.001)
    w = min(max((z - origin[2]) / spacing, 0.0), lattice.shape[2] - 1.001)
    i, j, k = int(u), int(v), int(w)
    return _blend(
        lattice, i, j, k, i + 1, j + 1, k + 1, np.float32(u - i), np.float32(v - j), np.float32(w - k)
    )


@kernel
def _blend(f: Any, i0: int, j0: int, k0: int, i1: int, j1: int, k1: int, fu: Any, fv: Any, fw: Any) -> Any:
    """The four channels of ``f`` between two corners. Unsigned indices spare numba its check for -1."""
    i, j, k = np.uint64(i0), np.uint64(j0), np.uint64(k0)
    ii, jj, kk = np.uint64(i1), np.uint64(j1), np.uint64(k1)
    gu, gv, gw = np.float32(1) - fu, np.float32(1) - fv, np.float32(1) - fw
    a, b, c, d = gu * gv * gw, gu * gv * fw, gu * fv * gw, gu * fv * fw
    e, g, h, m = fu * gv * gw, fu * gv * fw, fu * fv * gw, fu * fv * fw
    return (
        a * f[i, j, k, 0] + b * f[i, j, kk, 0] + c * f[i, jj, k, 0] + d * f[i, jj, kk, 0]
        + e * f[ii, j, k, 0] + g * f[ii, j, kk, 0] + h * f[ii, jj, k, 0] + m * f[ii, jj, kk, 0],
        a * f[i, j, k, 1] + b * f[i, j, kk, 1] + c * f[i, jj, k, 1] + d * f[i, jj, kk, 1]
        + e * f[ii, j, k, 1] + g * f[ii, j, kk, 1] + h * f[ii, jj, k, 1] + m * f[ii, jj, kk, 1],
        a * f[i, j, k, 2] + b * f[i, j, kk, 2] + c * f[i, jj, k, 2] + d * f[i, jj, kk, 2]
        + e * f[ii, j, k, 2] + g * f[ii, j, kk, 2] + h * f[ii, jj, k, 2] + m * f[ii, jj, kk, 2],
        a * f[i, j, k, 3] + b * f[i, j, kk, 3] + c * f[i, jj, k, 3] + d * f[i, jj, kk, 3]
        + e * f[ii, j, k, 3] + g * f[ii, j, kk, 3] + h * f[ii, jj, k, 3] + m * f[ii, jj, kk, 3],
    )  # fmt: skip


@kernel
def spread_tile(tile: Any, view: Any, origin: Any, steps: Any, out: Any) -> None:
    """The noise tile's four fields at the points of a lattice, into ``out`` (X, Y, Z, 4)."""
    row = np.empty((tile.shape[2], 4), np.float32)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            _tile_row(tile, view, origin[0] + i * steps[0], origin[1] + j * steps[1], row)
            for k in range(out.shape[2]):
                here = _along_tile(row, view, origin[2] + k * steps[2])
                out[i, j, k, 0], out[i, j, k, 1], out[i, j, k, 2], out[i, j, k, 3] = here


@kernel
def sample_anatomy(
    origin: Any,
    steps: Any,
    affine: Any,
    warp: Any,
    warp_origin: Any,
    warp_spacing: float,
    maps: Any,
    maps_origin: Any,
    maps_spacing: float,
    tile: Any,
    fold_view: Any,
    shape_view: Any,
    traits: Any,
    tissue: Any,
    ventricle: Any,
    depth: Any,
    midline: Any,
) -> None:
    """Tissue of one person on a lattice.

    ``tissue`` becomes 0 fluid, 1 grey, 2 white, with partial volumes between; ``ventricle`` 0..1; ``depth``
    mm below the surface; ``midline`` signed mm from the plane between the hemispheres. ``traits`` = loss of
    tissue (atrophy), fold strength, fold width mm, contrast of the class edges, roughness. An average brain
    has no single person's folds: thin sheets of fluid, lined by grey matter, are cut where a noise field
    is zero, near the surface only.
    """
    atrophy, fold, width, edge, rough = traits[0], traits[1], traits[2], traits[3], traits[4]
    warps = np.empty((warp.shape[2], 4), np.float32)
    shapes = np.empty((tile.shape[2], 4), np.float32)
    folds = np.empty((tile.shape[2], 4), np.float32)
    leap = int(
        3.2 / abs(steps[2])
    )  # voxels that stay > 4 mm outside when one is the 8 mm outside that saturate
    for i in range(tissue.shape[0]):
        x = origin[0] + i * steps[0]
        for j in range(tissue.shape[1]):
            y = origin[1] + j * steps[1]
            _lattice_row(warp, warp_origin, warp_spacing, x, y, warps)
            _tile_row(tile, shape_view, x, y, shapes)
            _tile_row(tile, fold_view, x, y, folds)
            known_outside = 0
            for k in range(tissue.shape[2]):
                if known_outside > 0:
                    known_outside -= 1
                    depth[i, j, k] = -8.0
                    midline[i, j, k] = midline[i, j, k - 1]
                    ventricle[i, j, k] = 0.0
                    tissue[i, j, k] = 0.0
                    continue
                z = origin[2] + k * steps[2]
                dx, dy, dz, _ = _along_lattice(warps, warp_origin[2], warp_spacing, z)
                a, b, c = x + dx, y + dy, z + dz
                tx = affine[0, 0] * a + affine[0, 1] * b + affine[0, 2] * c + affine[0, 3]
                ty = affine[1, 0] * a + affine[1, 1] * b + affine[1, 2] * c + affine[1, 3]
                tz = affine[2, 0] * a + affine[2, 1] * b + affine[2, 2] * c + affine[2, 3]
                grey, white, coded, fluid = _lattice_at(maps, maps_origin, maps_spacing, tx, ty, tz)
                below = min((coded - 40.0) * 0.2, tz - _LOWEST)
                fluid = fluid / 255.0
                depth[i, j, k] = below
                midline[i, j, k] = tx
                ventricle[i, j, k] = fluid
                if below < -4.0:
                    tissue[i, j, k] = 0.0
                    known_outside = leap if coded < 0.5 else 0
                    continue
                raw = (grey + 2.0 * white) / 255.0
                shell = _clamp01((22.0 - below) / 10.0)
                n0, n1, _, _ = _along_tile(shapes, shape_view, z)
                raw += rough * n0 * (0.35 + 0.65 * shell) - atrophy * shell
                if shell > 0.0:
                    f0, f1, _, _ = _along_tile(folds, fold_view, z)
                    sheet = abs(f0 + 0.15 * n1) * width
                    cut = min(sheet / 1.1, 1.0) + _clamp01((sheet - 2.4) / 1.6)
                    if cut < raw:
                        raw += (cut - raw) * fold * shell * _clamp01(0.85 + 0.45 * f1)
                sharp = max(edge * (0.45 + 0.55 * shell), 1.0)
                low = _clamp01((raw - 0.5) * sharp + 0.5)
                high = _clamp01((raw - 1.5) * sharp + 0.5)
                tissue[i, j, k] = (low + high) * (1.0 - 0.6 * fluid)


@kernel
def grow(time: Any, speed: Any, step: float, rounds: int) -> None:
    """Arrival times of a front: |grad T| = 1 / speed, by Gauss-Seidel sweeps in eight orders.

    Fast sweeping method (Zhao, Math. Comp. 74, 2005). ``time`` holds 0 at the sources, 1e4 elsewhere.
    """
    nx, ny, nz = time.shape
    for sweep in range(8 * rounds):
        order = sweep % 8
        for p in range(nx):
            i = p if order & 1 == 0 else nx - 1 - p
            for q in range(ny):
                j = q if order & 2 == 0 else ny - 1 - q
                for r in range(nz):
                    k = r if order & 4 == 0 else nz - 1 - r
                    pace = speed[i, j, k]
                    if pace <= 0.0 or time[i, j, k] == 0.0:
                        continue
                    a = min(time[max(i - 1, 0), j, k], time[min(i + 1, nx - 1), j, k])
                    b = min(time[i, max(j - 1, 0), k], time[i, min(j + 1, ny - 1), k])
                    c = min(time[i, j, max(k - 1, 0)], time[i, j, min(k + 1, nz - 1)])
                    if a > b:
                        a, b = b, a
                    if b > c:
                        b, c = c, b
                    if a > b:
                        a, b = b, a
                    if a >= _FAR:
                        continue
                    cost = step / pace
                    t = a + cost
                    if t > b:
                        t = 0.5 * (a + b + np.sqrt(max(2.0 * cost * cost - (a - b) ** 2, 0.0)))
                        if t > c:
                            total = a + b + c
                            root = total * total - 3.0 * (a * a + b * b + c * c - cost * cost)
                            t = (total + np.sqrt(max(root, 0.0))) / 3.0
                    if t < time[i, j, k]:
                        time[i, j, k] = t


@kernel
def paint(
    origin: Any,
    steps: Any,
    tissue: Any,
    ventricle: Any,
    depth: Any,
    midline: Any,
    levels: Any,
    levels_origin: Any,
    levels_spacing: float,
    tile: Any,
    fine_view: Any,
    coarse_view: Any,
    vessel_view: Any,
    bias_view: Any,
    means: Any,
    habit: Any,
    extra: Any,
    bias: Any,
    grain: Any,
    images: Any,
    labels: Any,
) -> None:
    """Signals of the four modalities, and the labels, from tissue and tumour levels.

    ``levels`` (X, Y, Z, 4): mm inside the core's edge, mm inside the edema's edge, nearness of ventricles, 0.
    ``means`` (9, 4): rows fluid, grey, white, edema, solid core, cyst, enhancing, vessel, lesion of age.
    ``habit``: core edge width, core raggedness, rim mm, rim patchiness, island threshold, cyst threshold,
    edema edge width, edema raggedness, edema in grey matter, edema falling off, core mottling.
    ``extra``: vessels, dura, lesions of age, sinus, lining of ventricles. ``bias`` (8,): slow field and
    surface gain per modality. ``grain`` (4,).
    """
    size = tile.shape[2]
    level_row = np.empty((levels.shape[2], 4), np.float32)
    fine_row, coarse_row = np.empty((size, 4), np.float32), np.empty((size, 4), np.float32)
    vessel_row, bias_row = np.empty((size, 4), np.float32), np.empty((size, 4), np.float32)
    for i in range(tissue.shape[0]):
        x = origin[0] + i * steps[0]
        for j in range(tissue.shape[1]):
            y = origin[1] + j * steps[1]
            _lattice_row(levels, levels_origin, levels_spacing, x, y, level_row)
            _tile_row(tile, fine_view, x, y, fine_row)
            _tile_row(tile, coarse_view, x, y, coarse_row)
            _tile_row(tile, vessel_view, x, y, vessel_row)
            _tile_row(tile, bias_view, x, y, bias_row)
            for k in range(tissue.shape[2]):
                below = depth[i, j, k]
                if below < -4.0:
                    for m in range(4):
                        images[m, i, j, k] = means[0, m]
                    continue
                z = origin[2] + k * steps[2]
                level = _along_lattice(level_row, levels_origin[2], levels_spacing, z)
                fine = _along_tile(fine_row, fine_view, z)
                coarse = _along_tile(coarse_row, coarse_view, z)
                curve = _along_tile(vessel_row, vessel_view, z)
                field = _along_tile(bias_row, bias_view, z)
                s = tissue[i, j, k]
                fluid, white = _clamp01(1.0 - s), _clamp01(s - 1.0)
                grey = 1.0 - fluid - white
                inside = level[0] + habit[1] * fine[0]
                core = _clamp01(inside / habit[0] + 0.5)
                rim_mm = habit[2] * max(1.0 + 0.55 * coarse[0] + 0.35 * fine[1], 0.0)
                rim = _clamp01((rim_mm - inside) / 1.2 + 0.5) * _clamp01((coarse[1] - habit[3]) * 2.5 + 0.5)
                island = _clamp01((0.6 * fine[1] + 0.8 * coarse[2] - habit[4]) * 2.5 + 0.5)
                enhancing = core * max(rim, island)
                solid = core - enhancing
                cyst = solid * _clamp01((curve[3] + 0.25 * coarse[3] + 0.1 * fine[3] - habit[5]) * 4.0 + 0.5)
                solid -= cyst
                around = level[1] + habit[7] * (0.6 * fine[2] + coarse[2])
                wet = _clamp01(around / habit[6] + 0.5) * (1.0 - core)
                bright = wet * (1.0 - fluid) * (white + grey * habit[8])
                bright *= 1.0 - habit[9] * _clamp01(1.0 - around / 12.0)
                if core > 0.5:
                    labels[i, j, k] = 3 if enhancing > 0.5 * core else 1
                elif around > 0.0 and fluid < 0.6 and below > 0.0:
                    labels[i, j, k] = 2
                near = abs(midline[i, j, k])
                thin = _clamp01((below + 1.0) / 3.0)
                vessel = extra[0] * max(0.0, 1.0 - (curve[0] ** 2 + curve[1] ** 2) / 0.02)
                vessel *= fluid + 0.5 * grey * _clamp01((14.0 - below) / 8.0)
                dura = extra[1] * _clamp01((1.2 - below) / 1.2) * _clamp01(curve[2] - 0.1)
                dura = max(dura, 0.5 * extra[1] * fluid * _clamp01(1.3 - near) * (1.0 - ventricle[i, j, k]))
                if near < 5.0 and z > -5.0:
                    dura = max(
                        dura, extra[3] * _clamp01((5.0 - near) / 2.5) * _clamp01((3.5 - below) / 2.0) * thin
                    )
                dura = max(dura, 0.55 * extra[0] * ventricle[i, j, k] * _clamp01(2.0 * (coarse[1] - 1.1)))
                vessel = _clamp01(max(vessel, dura)) * (1.0 - core)
                age = (
                    white
                    * (1.0 - wet)
                    * (1.0 - core)
                    * _clamp01(
                        extra[2] * max(0.7 * fine[2] + 0.7 * coarse[2] - 1.9, 0.0) + extra[4] * level[2]
                    )
                )
                normal = 1.0 - core
                surface = _clamp01((12.0 - below) / 12.0) ** 2
                for m in range(4):
                    value = fluid * means[0, m] + grey * means[1, m] + white * means[2, m]
                    value += (means[8, m] - value) * age
                    value += (means[3, m] * (1.0 + 0.07 * coarse[3] + 0.04 * fine[1]) - value) * bright
                    value *= normal
                    value += solid * means[4, m] * (1.0 + habit[10] * (fine[0] + 0.5 * coarse[0]))
                    value += cyst * means[5, m] + enhancing * means[6, m] * (1.0 + habit[10] * fine[2])
                    value += (means[7, m] - value) * vessel
                    value *= 1.0 + grain[m] * (fine[3] + 0.4 * coarse[0])
                    gain = bias[m] * field[m] + bias[4 + m] * surface
                    images[m, i, j, k] = value * (1.0 + gain + 0.5 * gain * gain)


@kernel
def blur_plane(image: Any, wx: float, wy: float) -> None:
    """Three-tap smoothing along the first two axes, in place; ``w`` is the weight of each neighbour."""
    nx, ny, nz = image.shape
    before = np.empty((ny, nz), np.float32)  # filled by loops: numba compiles slice assignment for seconds
    if wx > 0.0:
        for i in range(nx):
            after = min(i + 1, nx - 1)
            for j in range(ny):
                for k in range(nz):
                    value = image[i, j, k]
                    left = before[j, k] if i > 0 else value
                    image[i, j, k] = (1 - 2 * wx) * value + wx * (left + image[after, j, k])
                    before[j, k] = value
    if wy > 0.0:
        for i in range(nx):
            for j in range(ny):
                after = min(j + 1, ny - 1)
                for k in range(nz):
                    value = image[i, j, k]
                    left = before[0, k] if j > 0 else value
                    image[i, j, k] = (1 - 2 * wy) * value + wy * (left + image[i, after, k])
                    before[0, k] = value


@kernel
def acquire_slices(image: Any, noise: Any, sigma: float, pitch: float, tilt_x: float, tilt_y: float) -> None:
    """Scan in slices ``pitch`` voxels thick along the last axis and interpolate back, in place.

    The slices lie obliquely by ``tilt`` voxels per voxel. ``noise`` (nx, ny, slices, 2) are the real
    and imaginary channels: the magnitude of signal plus both is Rician (Gudbjartsson and Patz, 1995).
    """
    nx, ny, nz = image.shape
    slices = noise.shape[2]
    seen = np.empty(slices)
    for i in range(nx):
        for j in range(ny):
            first = -2.0 * pitch + (tilt_x * i + tilt_y * j) % pitch
            for s in range(slices):
                middle = first + s * pitch
                low, high = int(np.ceil(middle - 0.5 * pitch)), int(np.floor(middle + 0.5 * pitch))
                total, count = 0.0, 0
                for k in range(low, high + 1):
                    total += image[i, j, min(max(k, 0), nz - 1)]
                    count += 1
                if count == 0:
                    total, count = image[i, j, min(max(int(np.rint(middle)), 0), nz - 1)], 1
                real = total / count + sigma * noise[i, j, s, 0]
                imaginary = sigma * noise[i, j, s, 1]
                seen[s] = np.sqrt(real * real + imaginary * imaginary)
            for k in range(nz):
                at = (k - first) / pitch
                s = min(max(int(at), 0), slices - 2)
                f = _clamp01(at - s)
                image[i, j, k] = (1.0 - f) * seen[s] + f * seen[s + 1]


@kernel
def finish(
    image: Any,
    depth: Any,
    strip: Any,
    tile: Any,
    view: Any,
    origin: Any,
    steps: Any,
    curve: Any,
    reach: float,
    out: Any,
) -> None:
    """Strip the skull and map signals to the scanner's units; background stays 0.

    ``strip``: surface offset mm, its raggedness mm. ``curve``: units at signals 0 ... ``reach``, even steps.
    """
    row = np.empty((tile.shape[2], 4), np.float32)
    last = curve.shape[0] - 1
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            _tile_row(tile, view, origin[0] + i * steps[0], origin[1] + j * steps[1], row)
            for k in range(image.shape[2]):
                below = depth[i, j, k] - strip[0]
                if below < 4.0 * strip[1]:
                    if below < -4.0 * strip[1]:
                        continue
                    noise = _along_tile(row, view, origin[2] + k * steps[2])
                    if below + strip[1] * noise[0] <= 0.0:
                        continue
                at = min(max(image[i, j, k] / reach, 0.0), 1.0) * last
                low = min(int(at), last - 1)
                value = curve[low] + (at - low) * (curve[low + 1] - curve[low])
                out[i, j, k] = np.int16(min(max(np.rint(value), 1.0), 32767.0))
