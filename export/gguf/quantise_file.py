"""A whole text GGUF in another format, by llama.cpp's own quantiser: for merges made in F32 first."""

from __future__ import annotations

import ctypes
import os
import tempfile
from pathlib import Path

from ...eval.files import prepare_folder
from ...zoo.errors import ModelError, UsageError
from ...zoo.ggufheader import read_gguf_header
from ...zoo.runtimes.llamacpp_native import _library as load_library

#: Name -> llama.cpp's number of the mix (``llama_ftype``).
MIXES = {
    "f32": 0, "f16": 1, "bf16": 32, "q4_0": 2, "q4_1": 3, "q5_0": 8, "q5_1": 9, "q8_0": 7, "q2_k": 10,
    "q3_k_s": 11, "q3_k_m": 12, "q3_k_l": 13, "q4_k_s": 14, "q4_k_m": 15, "q5_k_s": 16, "q5_k_m": 17,
    "q6_k": 18,
}  # fmt: skip
_BUFFER = 256 << 20


def quantise_file(source: Path, target: Path, mix: str, threads: int = 1) -> None:
    """Write a text GGUF in another mix of formats; key-values are kept, the contract's hash is not.

    Args:
        source: best in F32 or F16: what is quantised already loses twice.
        target: the new file; not ``source``.
        mix: "q8_0", "q4_k_m", ...; those that need an importance matrix are refused.
        threads: of llama.cpp.

    Raises:
        UsageError: an unknown mix, or a source that is no text model.
        ModelError, IntegrityError: a damaged source, or llama.cpp fails; nothing is left at ``target`` then.
        MissingDependencyError: llama-cpp-python is not installed.

    Example:
        >>> quantise_file(Path("a.gguf"), Path("b.gguf"), "iq2_xs")
        Traceback (most recent call last):
        voxzoo.zoo.errors.UsageError: iq2_xs needs an importance matrix, which is not at hand; use q4_k_m or \
q8_0
    """
    number = _number(mix)
    header = read_gguf_header(source)
    if header.architecture == "clip":
        raise UsageError(f"{source}: an mmproj; only text models are quantised as a whole")
    if target.exists() and target.samefile(source):
        raise UsageError(f"{target}: is the source; give another file")
    prepare_folder(target.parent)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".quantise.") as folder:
        part = Path(folder) / target.name
        _run(source, part, number, threads)
        read_gguf_header(part)
        os.replace(part, target)


def _number(mix: str) -> int:
    if mix.lower() in MIXES:
        return MIXES[mix.lower()]
    if mix.lower().startswith("iq"):
        raise UsageError(f"{mix} needs an importance matrix, which is not at hand; use q4_k_m or q8_0")
    raise UsageError(f"{mix}: expected one of {', '.join(MIXES)}")


def _run(source: Path, part: Path, number: int, threads: int) -> None:
    cpp, _ = load_library()
    params = cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread, params.allow_requantize = number, threads, True
    params.max_buf_size = _BUFFER
    code = cpp.llama_model_quantize(os.fsencode(source), os.fsencode(part), ctypes.byref(params))
    if code or not part.is_file():
        raise ModelError(f"{source}: llama.cpp cannot quantise it (code {code}), or the disk is full")
