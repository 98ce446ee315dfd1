"""NIfTI files in and out: the bytes in one go, the array in the file's own axis order, errors in one line.

Reading is bounded by inflating the file, so the whole gzip stream is inflated by ISA-L into one buffer that
the array then views: nothing is copied, nothing is converted that need not be. Writing takes gzip level 1,
which costs a mask some kilobytes and saves it 95 % of the time, and replaces the file only when it is whole.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .errors import CaseError, InputError, RunError, UsageError
from .grid import Grid, Volume

__all__ = ["Grid", "Volume", "encode_nifti", "read_grid", "read_nifti", "write_nifti"]

GZIP_MAGIC = b"\x1f\x8b"
PEEK_BYTES = 1 << 16
"""What is read of a file when only its header is wanted."""

MAX_INFLATION = 1032
"""Deflate cannot expand a byte to more than this: a bound for a length that a file claims."""


def read_nifti(path: str | os.PathLike[str]) -> Volume:
    """Read ``.nii`` or ``.nii.gz`` as it is stored.

    Args:
        path: the file. What it is follows from its bytes, but a ``.gz`` name on unpacked bytes is an error.

    Returns:
        Volume of the stored dtype (native byte order), or float32 where the header scales
        (``scl_slope``/``scl_inter``). The array views one buffer and is read-only.

    Raises:
        CaseError: absent, empty, truncated, damaged, not gzip, not NIfTI, an unsupported voxel type.
    """
    path = Path(path)
    content = _inflate(_read_bytes(path), path)
    header = _parse_header(content, path)
    return Volume(_voxels(content, header, path), _affine(header, path))


def read_grid(path: str | os.PathLike[str]) -> tuple[Grid, int]:
    """Grid and number of channels (1 unless 4-D) from the header alone: some kilobytes are read.

    Raises:
        CaseError: as ``read_nifti``, as far as the beginning of the file shows it.
    """
    path = Path(path)
    header = _parse_header(_inflate_start(_read_bytes(path, PEEK_BYTES), path), path)
    shape = _shape(header, path)
    if len(shape) < 3:
        raise CaseError(f"{path}: a volume has to have 3 axes, this one has shape {shape}")
    try:
        return Grid((shape[0], shape[1], shape[2]), _affine(header, path)), int(
            np.prod(shape[3:], dtype=np.int64)
        )
    except InputError as error:
        raise CaseError(f"{path}: {error}") from None


def write_nifti(
    path: str | os.PathLike[str], array: np.ndarray, affine: np.ndarray, dtype: Any = None
) -> None:
    """Write a volume; the file is there whole or not at all.

    Args:
        path: ends in ``.nii.gz`` (gzip level 1, no time stamp: the same mask is the same file) or ``.nii``.
        array: 3-D or 4-D.
        affine: (4, 4); written as sform and qform, both with code 1 (a qform cannot hold shears).
        dtype: voxel type of the file; default the array's own (bool becomes uint8).

    Raises:
        UsageError: another suffix.
        RunError: the folder is absent or cannot be written.

    Example:
        >>> import numpy as np, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> write_nifti(folder.name + "/mask.nii.gz", np.ones((3, 4, 5), bool), np.eye(4))
        >>> read_nifti(folder.name + "/mask.nii.gz").array.dtype
        dtype('uint8')
    """
    path = Path(path)
    name = path.name.lower()
    if not name.endswith((".nii", ".nii.gz")):
        raise UsageError(f"{path}: a NIfTI file is named .nii.gz or .nii")
    content = encode_nifti(array, affine, dtype)
    if name.endswith(".gz"):
        from isal import igzip

        content = igzip.compress(content, compresslevel=1, mtime=0)
    _write_atomically(path, content)


def encode_nifti(array: np.ndarray, affine: np.ndarray, dtype: Any = None) -> bytes:
    """The bytes of an uncompressed NIfTI-1 file; arguments as ``write_nifti``."""
    import nibabel

    array = np.asarray(array)
    wanted = np.dtype(dtype if dtype is not None else array.dtype)
    array = array.astype(np.uint8 if wanted == np.bool_ else wanted, copy=False)
    header = nibabel.Nifti1Header()
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header.set_sform(affine, code=1)
    header.set_qform(affine, code=1)
    header.set_xyzt_units("mm")
    header["vox_offset"], header["scl_slope"], header["scl_inter"] = 352, 1, 0
    return b"".join((header.binaryblock, b"\0\0\0\0", array.tobytes(order="F")))


def _write_atomically(path: Path, content: bytes) -> None:
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise RunError(f"{path}: cannot be written: {error.strerror}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _read_bytes(path: Path, size: int = -1) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            content = file.read(size)
    except FileNotFoundError:
        raise CaseError(f"{path}: there is no such file") from None
    except OSError as error:
        raise CaseError(f"{path}: cannot be read: {error.strerror}") from None
    if not content:
        raise CaseError(f"{path}: the file is empty (0 bytes)")
    return content


def _is_gzip(content: bytes, path: Path) -> bool:
    packed = content[:2] == GZIP_MAGIC
    if path.name.lower().endswith(".gz") and not packed:
        if content[:4] in _HEADER_SIZES:
            raise CaseError(f"{path}: not gzip, but an unpacked NIfTI: name it .nii, or gzip it")
        raise CaseError(f"{path}: not gzip (it begins with {content[:4]!r})")
    return packed


def _inflate(content: bytes, path: Path) -> bytes:
    if not _is_gzip(content, path):
        return content
    from isal import igzip_lib

    # The trailer claims the length; one byte more spares the inflater a second look for the stream's end.
    claimed = int.from_bytes(content[-4:], "little")
    room = min(claimed, MAX_INFLATION * len(content)) + 1
    try:
        return _all_members(
            igzip_lib.decompress(content, flag=igzip_lib.DECOMP_GZIP, bufsize=room), content, path
        )
    except (igzip_lib.IsalError, EOFError) as error:  # type: ignore[misc]  # its stub says: an instance
        raise CaseError(f"{path}: truncated or damaged gzip: {error}") from None


def _all_members(first: bytes, content: bytes, path: Path) -> bytes:
    """``first``, or all gzip members joined where it is not the whole file that its NIfTI header needs."""
    header = _header_or_none(first)
    if header is not None and len(first) >= _end_of_voxels(header, path):
        return first
    from isal import igzip_lib

    parts: list[bytes] = []
    while content[:2] == GZIP_MAGIC:
        member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        parts.append(member.decompress(content))
        content = member.unused_data
    return b"".join(parts)


def _offset(header: Any, path: Path) -> int:
    """Where the voxels begin: NIfTI asks to read anything smaller than the header as its end."""
    stated = float(header["vox_offset"])
    if not np.isfinite(stated):
        raise CaseError(f"{path}: its header puts the voxels at byte {stated}")
    return max(int(stated), 352 if len(header.binaryblock) == 348 else 544)


def _end_of_voxels(header: Any, path: Path) -> int:
    return _offset(header, path) + _dtype(header, path).itemsize * _count(header)


def _count(header: Any) -> int:
    count = 1
    for n in header.get_data_shape():
        count *= int(n)
    return count


def _inflate_start(content: bytes, path: Path) -> bytes:
    if not _is_gzip(content, path):
        return content
    from isal import igzip_lib

    try:
        return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP).decompress(content, 1024)
    except igzip_lib.IsalError as error:  # type: ignore[misc]
        raise CaseError(f"{path}: truncated or damaged gzip: {error}") from None


_HEADER_SIZES = {n.to_bytes(4, order) for n in (348, 540) for order in ("little", "big")}


def _header_or_none(content: bytes) -> Any:
    """The parsed header, or None where these bytes are no single-file NIfTI-1 or -2."""
    import nibabel
    from nibabel.spatialimages import HeaderDataError

    size = next((n for n in (348, 540) if content[:4] in (n.to_bytes(4, "little"), n.to_bytes(4, "big"))), 0)
    if size == 0 or len(content) < size:
        return None
    kind = nibabel.Nifti1Header if size == 348 else nibabel.Nifti2Header
    magic = content[344:348] if size == 348 else content[4:8]
    try:
        return kind(content[:size], check=False) if magic[:3] in (b"n+1", b"n+2") else None
    except (HeaderDataError, ValueError):
        return None


def _parse_header(content: bytes, path: Path) -> Any:
    header = _header_or_none(content)
    if header is None:
        raise CaseError(
            f"{path}: not a single-file NIfTI (.nii or .nii.gz, version 1 or 2), or cut in its header"
        )
    return header


def _shape(header: Any, path: Path) -> tuple[int, ...]:
    """Shape without the trailing single axes beyond the third."""
    shape = tuple(int(n) for n in header.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if min(shape, default=0) < 1:
        raise CaseError(f"{path}: its header says shape {shape}: no voxels")
    return shape


def _affine(header: Any, path: Path) -> np.ndarray:
    from nibabel.spatialimages import HeaderDataError

    try:
        with np.errstate(all="ignore"):
            affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    except (HeaderDataError, ValueError) as error:
        raise CaseError(f"{path}: its header holds no usable affine: {error}") from None
    if not np.isfinite(affine).all():
        raise CaseError(f"{path}: its header holds an affine that is not finite: {affine.tolist()}")
    return affine


def _voxels(content: bytes, header: Any, path: Path) -> np.ndarray:
    shape, dtype = _shape(header, path), _dtype(header, path)
    end = _end_of_voxels(header, path)
    if len(content) < end:
        raise CaseError(
            f"{path}: truncated: {len(content)} bytes unpacked, {end} needed for "
            f"{' x '.join(map(str, shape))} voxels of {dtype}"
        )
    flat = np.frombuffer(content, dtype, _count(header), _offset(header, path))
    if not flat.flags.aligned:
        flat = flat.copy()
    if not dtype.isnative:
        flat = flat.astype(dtype.newbyteorder("="))
    flat = _scaled(flat, header)
    flat.flags.writeable = False
    return flat.reshape(shape, order="F")


def _dtype(header: Any, path: Path) -> np.dtype:
    from nibabel.spatialimages import HeaderDataError

    try:
        dtype = np.dtype(header.get_data_dtype())
    except (HeaderDataError, KeyError):
        raise CaseError(f"{path}: its header says voxel type {int(header['datatype'])}: unknown") from None
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise CaseError(f"{path}: voxels of type {dtype} are not an image; integers or floats were expected")
    return dtype


def _scaled(flat: np.ndarray, header: Any) -> np.ndarray:
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    # NIfTI: a slope of 0 (or one that is no number) means that values are stored unscaled.
    if not np.isfinite(slope) or slope == 0.0:
        return flat
    inter = inter if np.isfinite(inter) else 0.0
    if (slope, inter) == (1.0, 0.0):
        return flat
    # What overflows becomes infinite, and whoever reads a case is told so.
    with np.errstate(over="ignore", invalid="ignore"):
        return (flat.astype(np.float64) * slope + inter).astype(np.float32)
