"""Augmentation of small training volumes: pure functions of (image, label, rng).

Images are float32 (C, D, H, W), z-scored, background exactly 0 in every channel; labels are float32
(K, D, H, W) in [0, 1]. Few patients and many scanners: robustness to intensity is the problem, so most of
what is here changes intensities (the histogram of another patient, monotone curves, gain, bias field,
noise, blur, thick slices, a missing or swapped contrast), fades tumours toward healthy tissue, carries
tumours from one patient into another, and bends space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional as F

Array = NDArray[np.float32]
Rng = np.random.Generator

#: Levels at which a volume's histogram is described.
LEVELS = np.linspace(0, 100, 33)
#: Where the monotone intensity curves have their knots, in z-scores.
KNOTS = np.linspace(-3.5, 4.5, 7)


@dataclass(frozen=True)
class AugmentSpec:
    """How often and how strongly, as a recipe states it.

    Attributes:
        flips: probability of flipping each of D, H, W.
        swap: probability of exchanging H and W.
        intensity: greatest strength of curves, gain, shift, bias and noise (0 = none).
        fade: probability of fading the tumour toward the healthy mean.
        cyst: probability of turning part of the tumour's core into fluid.
        transplant: probability of carrying another patient's tumour in.
        drop_channel: probability, per channel but the first, of blanking it.
        restyle: probability, per channel, of moving the histogram toward another volume's.
        bias: greatest amplitude of a coil's field, smooth over the head and partly shared by the channels.
        thick: probability of slices averaged in twos or threes along one axis.
        mix_up: probability of each of: t1ce shows no contrast agent (t1 in its place); flair and t2 swapped.
        warp: probability of turning, zooming and bending a crop.
        rotate: standard deviation of the rotation about each axis, radians.
        zoom: standard deviation of the log of the zoom.
        bend: standard deviation of the smooth displacement, as a share of half the crop; 0 = none.
    """

    flips: tuple[float, float, float] = (0.2, 0.5, 0.5)
    swap: float = 0.3
    intensity: float = 1.0
    fade: float = 0.3
    cyst: float = 0.0
    transplant: float = 0.3
    drop_channel: float = 0.05
    restyle: float = 0.0
    bias: float = 0.0
    thick: float = 0.0
    mix_up: float = 0.0
    warp: float = 0.5
    rotate: float = 0.2
    zoom: float = 0.12
    bend: float = 0.0


def monotone_curve(values: Array, strength: float, rng: Rng) -> Array:
    """Map ``values`` through a random increasing piecewise-linear curve that fixes 0."""
    slopes = np.exp(rng.normal(0, strength, len(KNOTS) - 1))
    heights = np.concatenate([[0.0], np.cumsum(slopes * np.diff(KNOTS))])
    heights -= np.interp(0.0, KNOTS, heights)
    return np.interp(values, KNOTS, heights).astype(np.float32)


def histogram(image: Array) -> Array:
    """(C, len(LEVELS)) brain intensities of a volume at ``LEVELS`` percent."""
    return np.stack([np.percentile(v[v != 0] if v.any() else [0.0], LEVELS) for v in image]).astype(
        np.float32
    )


def restyle(image: Array, own: Array, other: Array, amounts: Sequence[float]) -> Array:
    """Move each channel's histogram part of the way (0 to 1) from ``own`` to ``other``."""
    out = image.copy()
    for channel, amount in enumerate(amounts):
        if amount:
            target = own[channel] + np.float32(amount) * (other[channel] - own[channel])
            out[channel] = np.interp(image[channel], own[channel], target)
    return out * (image != 0)


def thick_slices(image: Array, axis: int, factor: int) -> Array:
    """Every ``factor`` slices along ``axis`` (1, 2 or 3) replaced by their mean; a rest is left as it is."""
    count = image.shape[axis] // factor
    whole = np.moveaxis(image, axis, 0)[: count * factor]
    mean = whole.reshape(count, factor, *whole.shape[1:]).mean(1)
    out = image.copy()
    np.moveaxis(out, axis, 0)[: count * factor] = np.repeat(mean, factor, 0)
    return out * (image != 0)


def mix_up_channels(image: Array, chance: float, rng: Rng) -> Array:
    """Now and then a study comes without contrast agent, or with flair and t2 confused.

    Channels are in the order flair, t1, t1ce, t2.
    """
    if rng.random() < chance:
        image = image[[0, 1, 1, 3]]
    if rng.random() < chance:
        image = image[[3, 1, 2, 0]]
    return image


def smooth_field(shape: Sequence[int], knots: int, amplitude: float, rng: Rng) -> Array:
    """A random field over ``shape`` that varies slowly: normal values on ``knots``^3, interpolated."""
    coarse = rng.normal(0, amplitude, (knots,) * 3).astype(np.float32)
    for axis, size in enumerate(shape):
        at = np.linspace(0, knots - 1, size)
        low = np.minimum(at.astype(int), knots - 2)
        share = (at - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        coarse = np.take(coarse, low, axis) * (1 - share) + np.take(coarse, low + 1, axis) * share
    return coarse


def vary_channel(values: Array, strength: float, rng: Rng) -> Array:
    """One channel as another scanner might have shown it."""
    if rng.random() < 0.8:
        values = monotone_curve(values, 0.35 * strength, rng)
    if rng.random() < 0.8:
        values = values * np.float32(np.exp(rng.normal(0, 0.2 * strength)))
        values = values + np.float32(rng.normal(0, 0.25 * strength))
    if rng.random() < 0.5:
        values = values + (values + 3) * smooth_field(values.shape, 3, 0.12 * strength, rng)
    if rng.random() < 0.3:
        sigma = rng.uniform(0, 0.25 * strength)
        values = values + sigma * rng.standard_normal(values.shape, dtype=np.float32)
    if rng.random() < 0.25:
        values = ndimage.gaussian_filter(values, rng.uniform(0.3, 1.0, 3))
    return values.astype(np.float32, copy=False)


def vary_intensities(image: Array, spec: AugmentSpec, rng: Rng) -> Array:
    """Every channel varied on its own; background stays exactly 0; now and then one is blank."""
    if spec.intensity == 0:
        return image
    brain = image != 0
    out = np.empty_like(image)
    strength = spec.intensity * rng.uniform(0.25, 1)
    for channel, values in enumerate(image):
        out[channel] = vary_channel(values, strength, rng)
        if channel and rng.random() < spec.drop_channel:
            out[channel] = 0
    out *= brain
    return out


def coil_bias(image: Array, amplitude: float, rng: Rng) -> Array:
    """Brighten one part of the head and darken another, as a receive coil does.

    The field multiplies intensities as they were before z-scoring, which lay some three deviations above
    0. Channels share it in part: one coil recorded them all.
    """
    strength, share = rng.uniform(0, amplitude), rng.uniform(0, 1)
    common = smooth_field(image.shape[1:], int(rng.integers(2, 4)), strength, rng)
    out = np.empty_like(image)
    for channel, values in enumerate(image):
        own = smooth_field(image.shape[1:], int(rng.integers(2, 4)), strength, rng)
        out[channel] = values + (values + 3) * (share * common + (1 - share) * own)
    return out * (image != 0)


def fade_tumour(image: Array, label: Array, rng: Rng) -> Array:
    """Pull the tumour's intensities part of the way to the healthy mean: faint edema is real."""
    amount = rng.uniform(0.1, 0.7)
    soft = ndimage.uniform_filter(label[0], 3)
    out = image.copy()
    for channel, values in enumerate(image):
        healthy = values[(values != 0) & (label[0] < 0.5)]
        if healthy.size > 500:
            share = 1.0 if channel in (0, 3) else rng.random()
            out[channel] -= np.float32(amount * share) * soft * (values - healthy.mean())
    return out * (image != 0)


def make_cyst(image: Array, label: Array, rng: Rng) -> tuple[Array, Array]:
    """Turn part of the core into fluid, which shows as the ventricles do and does not enhance.

    Channels are in the order flair, t1, t1ce, t2; labels wt, tc and, where there is a third, et.
    """
    if len(label) < 2 or label[1].max() < 0.5:
        return image, label
    field = smooth_field(image.shape[1:], 6, 1.0, rng) + np.float32(rng.uniform(-0.5, 1.5))
    fluid = ndimage.uniform_filter((field > 0) * (label[1] > 0.5).astype(np.float32), 3)
    out, brain = image.copy(), (image != 0).all(0)
    for channel, percent in enumerate((rng.uniform(3, 40), 5, 5, 98)):
        level = np.float32(np.percentile(image[channel][brain], percent)) if brain.any() else np.float32(0)
        out[channel] += fluid * (level - image[channel])
    marks = label.copy()
    marks[2:] *= 1 - fluid
    return out * (image != 0), marks


def transplant(image: Array, label: Array, donor: Array, donor_label: Array) -> tuple[Array, Array]:
    """Carry the donor's tumour into the image, with a soft border, inside the image's brain."""
    brain = (image != 0).all(0)
    soft = ndimage.uniform_filter(donor_label[0], 3) * brain
    return image * (1 - soft) + donor * soft, np.maximum(label, donor_label * brain)


def flip(image: Array, label: Array, spec: AugmentSpec, rng: Rng) -> tuple[Array, Array]:
    """Random flips of D, H and W, and a swap of H and W where they are of one size."""
    for axis, chance in zip((1, 2, 3), spec.flips, strict=True):
        if rng.random() < chance:
            image, label = np.flip(image, axis), np.flip(label, axis)
    if image.shape[2] == image.shape[3] and rng.random() < spec.swap:
        image, label = image.swapaxes(2, 3), label.swapaxes(2, 3)
    return image, label


def random_affine(spec: AugmentSpec, rng: Rng) -> NDArray[np.float32]:
    """A (3, 4) sampling matrix: small rotations about the three axes and one zoom, no shift."""
    matrix = np.eye(3)
    for plane, angle in zip(((0, 1), (0, 2), (1, 2)), rng.normal(0, spec.rotate, 3), strict=True):
        turn = np.eye(3)
        a, b = plane
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    matrix *= np.exp(rng.normal(0, spec.zoom))
    return np.c_[matrix, np.zeros(3)].astype(np.float32)


def warp(image: Array, label: Array, spec: AugmentSpec, rng: Rng) -> tuple[Array, Array]:
    """Turn, zoom and bend a crop about its middle; what comes from outside is background."""
    both = torch.from_numpy(np.concatenate([image, label]))[None]
    grid = F.affine_grid(
        torch.from_numpy(random_affine(spec, rng))[None], list(both.shape), align_corners=False
    )
    if spec.bend:
        coarse = torch.from_numpy(rng.normal(0, spec.bend, (1, 3, 5, 5, 5)).astype(np.float32))
        smooth = F.interpolate(coarse, both.shape[2:], mode="trilinear", align_corners=True)
        grid = grid + smooth.permute(0, 2, 3, 4, 1)
    moved = F.grid_sample(both, grid, align_corners=False)[0].numpy()
    return moved[: len(image)], moved[len(image) :]
