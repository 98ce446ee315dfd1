"""Variations of a slice with its tumour: pure functions of (image, mask, spec, rng).

Images are float32 (H, W), 0 to 1, background 0; masks bool. Few patients and many scanners: geometry is
varied by one map that carries the outline's points along, brightness by curves, gains, slow shading, noise;
tumours are faded and carried into other slices. A variation depends on the rng alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .spec import SliceAugmentSpec

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
Rng = np.random.Generator

ROUNDS = 4
"""Steps of the fixed point that inverts a displacement; it moves points by a few pixels, smoothly."""


@dataclass(frozen=True, eq=False)
class Warp:
    """A map of an image: every pixel of the result says where it comes from.

    Attributes:
        back: (2, 3) affine map of (x, y) in the result to (x, y) in the source.
        bend: (H, W, 2) float32 pixels, added after it.
    """

    back: NDArray[np.float64]
    bend: NDArray[np.float32]

    def image(self, image: Image) -> Image:
        """The image moved; what comes from outside is black."""
        height, width = self.bend.shape[:2]
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        a = self.back.astype(np.float32)
        map_x = a[0, 0] * x + a[0, 1] * y + a[0, 2] + self.bend[..., 0]
        map_y = a[1, 0] * x + a[1, 1] * y + a[1, 2] + self.bend[..., 1]
        return cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR)

    def points(self, points: Points) -> Points:
        """(n, 2) (row, col) of the source -> where they lie in the result."""
        forth = np.linalg.inv(self.back[:, :2])
        source = points[:, ::-1] - self.back[:, 2]
        found = source @ forth.T
        height, width = self.bend.shape[:2]
        for _ in range(ROUNDS):
            at = np.clip(np.rint(found).astype(int), 0, (width - 1, height - 1))
            found = (source - self.bend[at[:, 1], at[:, 0]]) @ forth.T
        return found[:, ::-1]


def draw_warp(shape: tuple[int, int], spec: SliceAugmentSpec, rng: Rng) -> Warp:
    """A random map: flips, rotation, zoom, stretch, shift, bend."""
    height, width = shape
    angle = np.deg2rad(rng.normal(0, spec.rotate))
    zoom, stretch = np.exp(rng.normal(0, (spec.zoom, spec.stretch / 2)))
    sides = [-1 if rng.random() < chance else 1 for chance in (spec.mirror, spec.upend)]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag([sides[0] / zoom * stretch, sides[1] / zoom / stretch])
    middle = np.array([width - 1, height - 1]) / 2
    back = np.c_[linear, middle - linear @ middle + rng.normal(0, spec.shift, 2)]
    bend = np.zeros((height, width, 2), np.float32)
    if rng.random() < spec.bend:
        knots = int(rng.integers(4, 8))
        field = rng.normal(0, spec.bend_pixels, (knots, knots, 2)).astype(np.float32)
        bend = cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC)
    return Warp(back, bend)


def fade(image: Image, mask: Mask, rng: Rng) -> Image:
    """The tumour less, or a little more, different from the brain."""
    around = (image > 0) & ~mask
    if not mask.any() or not around.any():
        return image
    strength = rng.uniform(-0.3, 0.6)
    cover = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.5)
    level = np.float32(np.median(image[around]))
    return image + np.float32(strength) * cover * (level - image)


def transplant(image: Image, donor: Image, mask: Mask, rng: Rng) -> tuple[Image, Mask]:
    """Another slice's tumour in this one, as different from its surroundings as it was from its own."""
    mine, theirs = image > 0.02, (donor > 0.02) & ~mask
    kept = mask & mine
    if kept.sum() < 0.8 * mask.sum() or not theirs.any() or not mine.any():
        return image, np.zeros_like(mask)
    cover = cv2.GaussianBlur(kept.astype(np.float32), (0, 0), rng.uniform(0.8, 1.8))
    shift = np.float32(np.median(image[mine]) - np.median(donor[theirs]))
    mixed = image + cover * (donor + shift - image)
    return np.where(mine, np.maximum(mixed, 0.01), image), kept


def specks(image: Image, rng: Rng) -> Image:
    """Bright blobs that are no tumour: white-matter spots, a ventricle's lining."""
    height, width = image.shape
    out = image.copy()
    for _ in range(int(rng.integers(1, 5))):
        blob = np.zeros_like(image)
        middle = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
        cv2.ellipse(blob, middle, axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
        out += np.float32(rng.uniform(0.1, 0.35)) * cv2.GaussianBlur(blob, (0, 0), 1.0)
    return np.where(image > 0, out, image)


def expose(image: Image, spec: SliceAugmentSpec, rng: Rng) -> Image:
    """Another scanner: curve, gain, slow shading."""
    if rng.random() < spec.curve:
        image = np.maximum(image, 0) ** np.float32(np.exp(rng.normal(0, spec.gamma)))
        bow = np.float32(rng.normal(0, 0.08))
        image = image + bow * np.sin(2 * np.pi * np.clip(image, 0, 1))
    image = image * np.float32(np.exp(rng.normal(0, spec.gain)))
    if spec.shade:
        knots = np.exp(rng.normal(0, spec.shade, (3, 3))).astype(np.float32)
        image = image * cv2.resize(knots, image.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return image


def degrade(image: Image, spec: SliceAugmentSpec, rng: Rng) -> Image:
    """Out of focus, of fewer pixels, noisy."""
    if rng.random() < spec.blur:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.3))
    if rng.random() < spec.coarse:
        few = int(rng.integers(64, 112))
        small = cv2.resize(image, (few, few), interpolation=cv2.INTER_AREA)
        image = cv2.resize(small, image.shape[::-1], interpolation=cv2.INTER_LINEAR)
    strength = np.float32(rng.uniform(0, spec.noise))
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    return image + strength * noise * (image > 0.02)


def finish(image: Image, spec: SliceAugmentSpec, rng: Rng) -> NDArray[np.uint8]:
    """uint8, now and then stretched over its own range."""
    if rng.random() < spec.restretch:
        low, high = float(image.min()), float(image.max())
        image = (image - low) / max(high - low, 1e-6)
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)
