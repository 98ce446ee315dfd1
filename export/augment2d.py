"""Augmentation of 2-D training images: pure functions of (image, spec, rng) on uint8 (H, W, C).

Where the camera or the scanner stood (one affine map: flips, rotation, zoom, stretch, shift), how it exposed
(one curve per channel: brightness, contrast, gamma, colour; slow shading over the picture), how well it saw
(blur, noise), and what got in the way (a blank rectangle: cutout, DeVries & Taylor 2017, arXiv 1708.04552).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np
from numpy.typing import NDArray

from ..zoo.errors import UsageError

Image = NDArray[np.uint8]
Rng = np.random.Generator

_CHANCES = ("mirror", "upend", "blur", "cutout")


@dataclass(frozen=True)
class Augment2DSpec:
    """How often and how strongly, as a recipe states it. 0 leaves a change out.

    Attributes:
        mirror: chance of swapping left and right.
        upend: chance of swapping top and bottom.
        rotate: standard deviation of the rotation, degrees.
        zoom: standard deviation of the log of the zoom.
        stretch: standard deviation of the log of the height over the width.
        shift: largest shift along either axis, as a share of the side.
        brightness: standard deviation of what is added, as a share of the full range.
        contrast: standard deviation of the log of the factor about the middle of the range.
        gamma: standard deviation of the log of the exponent.
        colour: standard deviation of the log of a gain per channel, and of that of the saturation.
        shade: standard deviation of the log of a gain that varies slowly over the picture.
        blur: chance of a Gaussian blur, sigma 0.3 to 1.2 pixels.
        noise: largest standard deviation of Gaussian noise, as a share of the full range.
        cutout: chance of a rectangle in the image's mean colour, a tenth to a third of each side.
    """

    mirror: float = 0.5
    upend: float = 0.0
    rotate: float = 10.0
    zoom: float = 0.12
    stretch: float = 0.06
    shift: float = 0.08
    brightness: float = 0.06
    contrast: float = 0.15
    gamma: float = 0.2
    colour: float = 0.05
    shade: float = 0.1
    blur: float = 0.15
    noise: float = 0.03
    cutout: float = 0.3

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (0 <= value <= 1 if field.name in _CHANCES else value >= 0):
                wanted = "a chance from 0 to 1" if field.name in _CHANCES else "0 or more"
                raise UsageError(f"recipe [augment]: {field.name} = {value}; expected {wanted}")


def augment(image: Image, mask: Image | None, spec: Augment2DSpec, rng: Rng) -> tuple[Image, Image | None]:
    """One variation of ``image``; the same state of ``rng`` gives the same one.

    Args:
        image: (H, W, C) uint8, C = 1 or 3.
        mask: (H, W, 1) uint8, 0 to 255, that moves with the image; None stays None.
        spec: what may change.
        rng: where chance comes from.

    Returns:
        New arrays of the same shapes and dtype.

    Example:
        >>> image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
        >>> augment(image, None, Augment2DSpec(), np.random.default_rng(0))[0].shape
        (4, 4, 3)
        >>> still = Augment2DSpec(**{field.name: 0.0 for field in fields(Augment2DSpec)})
        >>> bool((augment(image, None, still, np.random.default_rng(0))[0] == image).all())
        True
    """
    affine = matrix(image.shape[:2], spec, rng)
    image = expose(move(image, affine), spec, rng)
    image = shade(image, spec.shade, rng)
    image = degrade(image, spec, rng)
    image = cut_out(image, spec.cutout, rng)
    return image, None if mask is None else move(mask, affine)


def matrix(shape: tuple[int, int], spec: Augment2DSpec, rng: Rng) -> NDArray[np.float64]:
    """A (2, 3) affine map of pixel (x, y) to pixel, about the middle of an image of ``shape`` (H, W)."""
    height, width = shape
    angle = np.deg2rad(rng.normal(0, spec.rotate))
    zoom = np.exp(rng.normal(0, spec.zoom))
    stretch = np.exp(rng.normal(0, spec.stretch) / 2)
    sides = [-1 if rng.random() < chance else 1 for chance in (spec.mirror, spec.upend)]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = zoom * turn @ np.diag([sides[0] / stretch, sides[1] * stretch])
    middle = np.array([width - 1, height - 1]) / 2
    shift = rng.uniform(-spec.shift, spec.shift, 2) * (width, height)
    return np.c_[linear, middle - linear @ middle + shift]


def move(image: Image, affine: NDArray[np.float64]) -> Image:
    """``image`` under an affine map of its pixels, bilinear; what comes from outside is black."""
    height, width, channels = image.shape
    moved = cv2.warpAffine(image, affine, (width, height), flags=cv2.INTER_LINEAR)
    return moved.reshape(height, width, channels)


def expose(image: Image, spec: Augment2DSpec, rng: Rng) -> Image:
    """Another exposure: saturation, then one curve of brightness, contrast, gamma and gain per channel."""
    saturation, *gains = np.exp(rng.normal(0, spec.colour, 4))
    gamma, contrast = np.exp(rng.normal(0, spec.gamma)), np.exp(rng.normal(0, spec.contrast))
    added = rng.normal(0, spec.brightness)
    level = np.linspace(0, 1, 256) ** gamma
    level = (level - 0.5) * contrast + 0.5 + added
    channels = image.shape[2]
    if channels == 1:
        return _lookup(image, level[:, None])
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    image = _to_uint8(grey + saturation * (image.astype(np.float32) - grey)) if spec.colour else image
    return _lookup(image, level[:, None] * np.array(gains))


def shade(image: Image, strength: float, rng: Rng) -> Image:
    """Light that falls unevenly: a gain that is interpolated between 3 x 3 random ones."""
    knots = np.exp(rng.normal(0, strength, (3, 3))).astype(np.float32)
    if strength == 0:
        return image
    height, width = image.shape[:2]
    field = cv2.resize(knots, (width, height), interpolation=cv2.INTER_CUBIC)
    return _to_uint8(image * field[..., None])


def degrade(image: Image, spec: Augment2DSpec, rng: Rng) -> Image:
    """Now and then out of focus, and with noise of a random strength."""
    blurred, sigma = rng.random() < spec.blur, rng.uniform(0.3, 1.2)
    if blurred:
        image = cv2.GaussianBlur(image, (0, 0), sigma).reshape(image.shape)
    strength = rng.uniform(0, spec.noise) * 255
    if strength == 0:
        return image
    return _to_uint8(image + np.float32(strength) * rng.standard_normal(image.shape, dtype=np.float32))


def cut_out(image: Image, chance: float, rng: Rng) -> Image:
    """With this chance, a random rectangle in the image's mean colour."""
    hidden, shares, corner = rng.random() < chance, rng.uniform(0.1, 0.34, 2), rng.random(2)
    if not hidden:
        return image
    shape = np.array(image.shape[:2])
    sides = np.maximum(1, np.rint(shares * shape)).astype(int)
    top, left = (corner * (shape - sides + 1)).astype(int)
    image = image.copy()
    image[top : top + sides[0], left : left + sides[1]] = image.mean((0, 1)).astype(np.uint8)
    return image


def _lookup(image: Image, curves: NDArray[np.float64]) -> Image:
    """Every channel through its own curve: (256, C) in [0, 1], clipped."""
    return cv2.LUT(image, _to_uint8(curves * 255)[None]).reshape(image.shape)


def _to_uint8(values: NDArray[np.floating]) -> Image:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
