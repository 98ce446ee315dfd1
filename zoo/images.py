"""2-D images: a case that is one picture, how its file is read, and how it becomes a model's tensor.

An image is always 8-bit RGB here, whatever its file holds:

* orientation as its EXIF tag says; grey becomes three equal channels; a palette is applied; transparency is
  dropped (the stored colour counts);
* samples of more than 8 bits are stretched from the image's own minimum to its maximum, all channels
  together, since no header of these formats says what range is meant;
* a file that is cut short or holds several pages is refused.

It is fitted to the model's size while it still has 8 bits, and normalised last: training, which keeps fitted
images in memory, and prediction see the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .cases import Case, hash_file
from .errors import CaseError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .contract import ImageSpec

__all__ = [
    "SUFFIXES",
    "AnyCase",
    "ImageCase",
    "PreparedImage",
    "check_image",
    "fit_image",
    "normalise_image",
    "prepare_image",
    "read_image",
]

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff")
"""Of the files that are taken for images, in lower case; upper case is as good."""


@dataclass(frozen=True)
class ImageCase:
    """One image, read lazily.

    Attributes:
        id: unique within its dataset.
        patient: images of one patient never end up on two sides of a split; the id where nobody said.
        path: of the file.
        facts: what is known, as text; "class" is the true class by folder or table.
        origin: where a table names the file ("labels.csv:7"), for messages.

    Example:
        >>> case = ImageCase("a", "p1", Path("a.png"), {"class": "polyp"})
        >>> case.fact("class"), case.fact("grade"), case.has_reference
        ('polyp', None, True)
    """

    id: str
    patient: str
    path: Path
    facts: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""

    @property
    def has_reference(self) -> bool:
        """Whether the true class is known."""
        return bool(self.facts.get("class"))

    def fact(self, name: str) -> str | None:
        """The fact called ``name`` ("class"), or None where it is not known."""
        return self.facts.get(name) or None

    def fingerprint(self) -> str:
        """sha256 (hex) of the file's bytes.

        Raises:
            CaseError: it cannot be read.
        """
        self._check()
        return hash_file(self.path)

    def read(self) -> NDArray[np.uint8]:
        """The image, (H, W, 3) uint8, red first; see ``read_image``."""
        self._check()
        return read_image(self.path)

    def _check(self) -> None:
        if not self.path.is_file():
            named = f" (named in {self.origin})" if self.origin else ""
            raise CaseError(f"{self.path}: there is no such file{named}")


AnyCase = Case | ImageCase
"""What a dataset holds: patients with volumes, or images."""


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """What a model of 2-D images is fed: ``tensor`` (C, H, W) float32."""

    tensor: NDArray[np.float32]


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image file as (H, W, 3) uint8, red first, as the module's docstring says.

    Raises:
        CaseError: it cannot be read, is no image of a known format, is cut short, has several pages, or holds
            NaN or infinity. The message starts with the path.
    """
    import cv2

    content = _content(path)
    try:
        if path.suffix.lower() in (".tif", ".tiff") and (pages := cv2.imcount(str(path))) > 1:
            raise CaseError(f"{path}: holds {pages} pages; one image in a file was expected")
        flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise CaseError(f"{path}: cannot be decoded: {' '.join(str(error).split())}") from None
    if image is None:
        raise CaseError(f"{path}: not an image, or a damaged one; {', '.join(SUFFIXES)} are read")
    image = _to_8_bits(image, path)
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image[..., ::-1].copy()


def prepare_image(image: ImageCase | NDArray[np.uint8], spec: ImageSpec) -> NDArray[np.float32]:
    """Read an image and make it what a model is fed.

    Args:
        image: a case, or an array (H, W) of grey or (H, W, 3) of red, green, blue, uint8.
        spec: the contract's input.

    Returns:
        (C, H, W) float32.

    Raises:
        CaseError: the file cannot be read, as ``read_image``.
        InputError: an array of another shape or dtype.

    Example:
        >>> from voxzoo.zoo.contract import ImageSpec
        >>> spec = ImageSpec("x", ("grey",), (2, 4), "pad", "unit")
        >>> prepare_image(np.full((3, 3), 255, np.uint8), spec)
        array([[[-1.,  1.,  1., -1.],
                [-1.,  1.,  1., -1.]]], dtype=float32)
    """
    pixels = image.read() if isinstance(image, ImageCase) else image
    return normalise_image(fit_image(pixels, spec), spec)


def fit_image(image: NDArray[np.uint8], spec: ImageSpec) -> NDArray[np.uint8]:
    """The image with the channels and of the size that a model takes, still uint8.

    "stretch" fills the whole; "pad" keeps the proportions, in the middle of black. Shrinking averages areas,
    enlarging is bilinear, each axis for itself. Grey is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601).

    Args:
        image: (H, W) or (H, W, 3), uint8.
        spec: the contract's input.

    Returns:
        (H, W, C) uint8.

    Raises:
        InputError: another shape or dtype.
    """
    image = _with_channels(check_image(image), len(spec.channels))
    if spec.resize == "stretch":
        return _resized(image, spec.shape)
    scale = min(new / old for new, old in zip(spec.shape, image.shape, strict=False))
    height, width = (max(1, round(n * scale)) for n in image.shape[:2])
    top, left = (spec.shape[0] - height) // 2, (spec.shape[1] - width) // 2
    out = np.zeros((*spec.shape, image.shape[2]), np.uint8)
    out[top : top + height, left : left + width] = _resized(image, (height, width))
    return out


def normalise_image(image: NDArray[np.uint8], spec: ImageSpec) -> NDArray[np.float32]:
    """The numbers that a model is fed, from a fitted image.

    "unit" is x / 255 * 2 - 1; "zscore" subtracts the mean over everything the model sees, all channels and
    the padding too, and divides by the standard deviation (an image of one colour gives zeros).

    Args:
        image: (H, W, C) uint8, of ``fit_image``.
        spec: the contract's input.

    Returns:
        (C, H, W) float32, C-contiguous.
    """
    planes = np.ascontiguousarray(image.transpose(2, 0, 1)).astype(np.float32)
    if spec.normalise == "unit":
        return planes / np.float32(127.5) - np.float32(1)
    mean, std = planes.mean(dtype=np.float64), planes.std(dtype=np.float64)
    return (planes - np.float32(mean)) / np.float32(std if std > 0 else 1.0)


def check_image(image: Any) -> NDArray[np.uint8]:
    """The array, if it is an image: (H, W) of grey or (H, W, 3) of red, green, blue, uint8.

    Raises:
        InputError: another shape or dtype, or no pixel at all.
    """
    image = np.asarray(image)
    is_image = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if image.dtype != np.uint8 or not is_image or image.size == 0:
        raise InputError(
            "an image is an array (H, W) or (H, W, 3) of uint8, red first; "
            f"got shape {image.shape} of {image.dtype}"
        )
    return image


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CaseError(f"{path}: cannot be read: {error.strerror}") from None
    if not content:
        raise CaseError(f"{path}: the file is empty (0 bytes)")
    if _is_cut(content):
        raise CaseError(f"{path}: the image is cut short ({len(content)} bytes); fetch it again")
    return content


def _is_cut(content: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end: decoders then give what there is, and grey for the rest.

    In JPEG the last scan begins with FF DA and the image ends with FF D9, neither of which occurs in coded
    data; a PNG ends with the chunk IEND.
    """
    if content.startswith(b"\xff\xd8"):
        return content.rfind(b"\xff\xd9") <= content.rfind(b"\xff\xda")
    return content.startswith(b"\x89PNG") and b"IEND" not in content[-1024:]


def _to_8_bits(image: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    if image.dtype == np.uint8:
        return image
    wide = image.astype(np.float64)
    if not np.isfinite(wide).all():
        bad = wide.size - int(np.count_nonzero(np.isfinite(wide)))
        raise CaseError(f"{path}: {bad} of {wide.size} values are NaN or infinite")
    low, high = wide.min(), wide.max()
    return np.rint((wide - low) * (255.0 / ((high - low) or 1.0))).astype(np.uint8)


def _with_channels(image: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """(H, W, channels) of grey or colour, whichever came in."""
    import cv2

    if channels == 1:
        grey = image if image.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
        return grey[..., None]
    return image if image.ndim == 3 else np.repeat(image[..., None], channels, axis=2)


def _resized(image: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """(h, w, C) -> (H, W, C): axes that shrink by areas, then those that grow bilinearly."""
    import cv2

    channels = image.shape[2]
    smaller = (min(image.shape[0], shape[0]), min(image.shape[1], shape[1]))
    for size, how in ((smaller, cv2.INTER_AREA), (shape, cv2.INTER_LINEAR)):
        if image.shape[:2] != size:
            image = cv2.resize(np.ascontiguousarray(image), size[::-1], interpolation=how)
    return image.reshape(*shape, channels)
