"""llama.cpp and its vision part behind a few calls: open, tokenise, show an image, read tokens, get logits.

One context, of one or several sequences that share what they began with. Everything is freed with the object.
What the library logs is kept, not printed: its last lines explain why it refused a file.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DeviceError, InputError, MissingDependencyError, ModelError
from .base import package_found

__all__ = ["Native", "Settings", "check_gpu", "is_installed", "offers_gpu", "version"]

PIP = (
    'llama-cpp-python is not installed: CMAKE_ARGS=-DGGML_NATIVE=OFF pip install "voxzoo[llm]" (it is built '
    "from source: minutes)"
)
MARKER = "<__media__>"
_CONTEXT = 4096
_BATCH = 512
_CACHES = {"f16": 1, "f32": 0}
_log: deque[str] = deque(maxlen=20)
"""Its last warnings and errors."""
_WARNING, _CONTINUED = 3, 5
"""Levels of ggml's log."""


@dataclass(frozen=True)
class Settings:
    """How a model is opened.

    Attributes:
        threads: of each call.
        gpu: whether every layer runs on the GPU.
        context: tokens that an image, a question and its answer may take together; None is what the model was
            trained with, 4096 at most.
        cache: numbers of the cache of keys and values: "f16" or "f32".
        sequences: that may be read side by side; each has room for ``context`` tokens.
    """

    threads: int = 1
    gpu: bool = False
    context: int | None = None
    cache: str = "f16"
    sequences: int = 1


def is_installed() -> bool:
    """Whether llama-cpp-python is there."""
    return package_found("llama_cpp")


def version() -> str:
    """Of llama-cpp-python."""
    return str(_library()[0].__version__)


def offers_gpu() -> bool:
    """Whether the library was built for a GPU and finds one.

    A build for CPUs takes any number of layers "on the GPU" and says nothing.
    """
    return bool(_library()[0].llama_supports_gpu_offload())


def check_gpu(wanted: bool) -> None:
    """Refuse a GPU that is not to be had.

    Raises:
        DeviceError: with the way to get it.
    """
    if wanted and not offers_gpu():
        raise DeviceError(
            "this build of llama.cpp sees no GPU: use the device cpu, or build llama-cpp-python with "
            "CMAKE_ARGS=-DGGML_CUDA=on"
        )


class Native:
    """A text model, its context and its vision part.

    Args:
        text: path of the language model's GGUF.
        mmproj: path of the vision part's; None reads text only.
        settings: how.

    Raises:
        MissingDependencyError: llama-cpp-python is absent.
        DeviceError: a GPU was asked for and is not to be had.
        ModelError: llama.cpp refuses a file, or the two do not belong together.
    """

    def __init__(self, text: str, mmproj: str | None, settings: Settings) -> None:
        cpp, _ = _library()
        check_gpu(settings.gpu)
        self._settings = settings
        self._freed: list[tuple[Any, Any]] = []
        self._close = weakref.finalize(self, _free, self._freed)
        _log.clear()
        try:
            self._model = self._owned(_open_model(cpp, text, settings), cpp.llama_model_free, text)
            self.trained_context = int(cpp.llama_model_n_ctx_train(self._model))
            self._context = self._owned(
                _open_context(cpp, self._model, settings, self.trained_context), cpp.llama_free, text
            )
            self._vision = None if mmproj is None else self._opened_vision(mmproj, settings)
        except ModelError:
            self.close()
            raise
        self._memory = cpp.llama_get_memory(self._context)
        self._vocab = cpp.llama_model_get_vocab(self._model)
        self.n_vocab = int(cpp.llama_vocab_n_tokens(self._vocab))
        self.context = min(_wanted(settings, self.trained_context), int(cpp.llama_n_ctx(self._context)))
        self._batch = cpp.llama_batch_init(_BATCH, 0, 1)
        self._freed.append((cpp.llama_batch_free, self._batch))

    def _opened_vision(self, mmproj: str, settings: Settings) -> Any:
        _, mtmd = _library()
        vision = self._owned(_open_vision(mtmd, mmproj, self._model, settings), mtmd.mtmd_free, mmproj)
        if not mtmd.mtmd_support_vision(vision):
            raise ModelError(f"{mmproj}: an mmproj without a vision part")
        return vision

    def close(self) -> None:
        """Free everything; nothing else may be called afterwards."""
        self._close()

    def tokenize(self, text: str, special: bool = False) -> list[int]:
        """Ids of a text, nothing added.

        Args:
            text: any.
            special: whether the vocabulary's marks are read as such.
        """
        cpp, _ = _library()
        raw = text.encode("utf-8", "replace")
        room = len(raw) + 8
        ids = (cpp.llama_token * room)()
        count = cpp.llama_tokenize(self._vocab, raw, len(raw), ids, room, False, special)
        if count < 0:
            raise ModelError(f"llama.cpp cannot tokenise a text of {len(raw)} bytes")
        return list(ids[:count])

    def text(self, ids: Sequence[int]) -> str:
        """The text of tokens, marks left out; bytes that are no UTF-8 become U+FFFD."""
        cpp, _ = _library()
        given = (cpp.llama_token * max(len(ids), 1))(*ids)
        room = 16 * len(ids) + 64
        while True:
            out = ctypes.create_string_buffer(room)
            count = cpp.llama_detokenize(self._vocab, given, len(ids), out, room, False, False)
            if count >= 0:
                return out.raw[:count].decode("utf-8", "replace")
            room = -count

    @property
    def first_token(self) -> int | None:
        """The mark that this vocabulary puts before a conversation; None if it puts none."""
        cpp, _ = _library()
        return int(cpp.llama_vocab_bos(self._vocab)) if cpp.llama_vocab_get_add_bos(self._vocab) else None

    def ends(self) -> list[int]:
        """Ids of the tokens that end an answer."""
        cpp, _ = _library()
        return [i for i in range(self.n_vocab) if cpp.llama_vocab_is_eog(self._vocab, i)]

    def forget(self, keep: int = 0) -> None:
        """Forget all that was read from position ``keep`` on, and every sequence but the first.

        Raises:
            ModelError: this kind of model cannot forget a part.
        """
        cpp, _ = _library()
        for other in range(1, self._settings.sequences):
            cpp.llama_memory_seq_rm(self._memory, other, 0, -1)
        if not cpp.llama_memory_seq_rm(self._memory, 0, keep, -1):
            raise ModelError("this model cannot forget a part of what it read (it is recurrent)")

    def share(self, sequences: int) -> None:
        """Let the first ``sequences`` sequences begin with all that the first one has read."""
        cpp, _ = _library()
        for other in range(1, sequences):
            cpp.llama_memory_seq_cp(self._memory, 0, other, 0, -1)

    def read(self, ids: Sequence[int], at: int) -> NDArray[np.float32]:
        """Read tokens of the first sequence from position ``at`` on.

        Returns:
            (n_vocab,) float32: the logits after the last one.

        Raises:
            ModelError: llama.cpp fails.
        """
        return self.read_together({0: (ids, at)})[0]

    def read_together(self, parts: Mapping[int, tuple[Sequence[int], int]]) -> dict[int, NDArray[np.float32]]:
        """Read tokens of several sequences, as many as fit at a time.

        Args:
            parts: sequence -> (its tokens, at least one; the position of the first).

        Returns:
            sequence -> (n_vocab,) float32: the logits after its last token.

        Raises:
            ModelError: llama.cpp fails.
        """
        flat = [
            (token, at + i, sequence, i == len(ids) - 1)
            for sequence, (ids, at) in parts.items()
            for i, token in enumerate(ids)
        ]
        out: dict[int, NDArray[np.float32]] = {}
        for start in range(0, len(flat), _BATCH):
            out |= self._decoded(flat[start : start + _BATCH])
        return out

    def show(self, image: NDArray[np.uint8], at: int) -> int:
        """Read an image from position ``at`` on.

        Args:
            image: (H, W, 3) uint8, contiguous.
            at: a position.

        Returns:
            The position after it.

        Raises:
            InputError: it does not fit into the context.
            ModelError: llama.cpp fails.
        """
        _, mtmd = _library()
        chunks = mtmd.mtmd_input_chunks_init()
        try:
            self._cut(image, chunks)
            return self._eval(chunks, at)
        finally:
            mtmd.mtmd_input_chunks_free(chunks)

    def _owned(self, handle: Any, free: Any, path: str) -> Any:
        if not handle:
            raise ModelError(f"{path}: llama.cpp {version()} cannot open it{_reason()}")
        self._freed.append((free, handle))
        return handle

    def _decoded(self, part: Sequence[tuple[int, int, int, bool]]) -> dict[int, NDArray[np.float32]]:
        """Logits of the sequences that end in a part of a batch: (token, position, sequence, its last)."""
        cpp, _ = _library()
        batch = self._batch
        batch.n_tokens = len(part)
        for i, (token, at, sequence, last) in enumerate(part):
            batch.token[i], batch.pos[i] = token, at
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
            batch.logits[i] = last
        code = cpp.llama_decode(self._context, batch)
        if code:
            raise ModelError(
                f"llama.cpp cannot read {len(part)} tokens at {part[0][1]}: code {code}{_reason()}"
            )
        ends = [(i, sequence) for i, (_, _, sequence, last) in enumerate(part) if last]
        return {sequence: self._logits(cpp.llama_get_logits_ith(self._context, i)) for i, sequence in ends}

    def _logits(self, pointer: Any) -> NDArray[np.float32]:
        return np.ctypeslib.as_array(pointer, shape=(self.n_vocab,)).copy()

    def _cut(self, image: NDArray[np.uint8], chunks: Any) -> None:
        """The image as chunks of tokens, with the marks around it that this vision part asks for."""
        _, mtmd = _library()
        height, width = image.shape[:2]
        bitmap = mtmd.mtmd_bitmap_init(width, height, image.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))
        text = mtmd.mtmd_input_text()
        marker = MARKER.encode()
        text.text, text.text_len, text.add_special, text.parse_special = marker, len(marker), False, True
        try:
            bitmaps = (mtmd.mtmd_bitmap_p_ctypes * 1)(bitmap)
            code = mtmd.mtmd_tokenize(self._vision, chunks, ctypes.byref(text), bitmaps, 1)
        finally:
            mtmd.mtmd_bitmap_free(bitmap)
        if code:
            raise ModelError(f"llama.cpp cannot take an image of {height} x {width}: code {code}{_reason()}")

    def _eval(self, chunks: Any, at: int) -> int:
        cpp, mtmd = _library()
        found = [mtmd.mtmd_input_chunks_get(chunks, i) for i in range(mtmd.mtmd_input_chunks_size(chunks))]
        needed = sum(int(mtmd.mtmd_input_chunk_get_n_tokens(chunk)) for chunk in found)
        if at + needed >= self.context:
            raise InputError(
                f"the image takes {needed} tokens after {at} others; the context holds {self.context}"
            )
        end = cpp.llama_pos(at)
        for chunk in found:
            code = mtmd.mtmd_helper_eval_chunk_single(
                self._vision, self._context, chunk, end, 0, _BATCH, False, ctypes.byref(end)
            )
            if code:
                raise ModelError(f"llama.cpp cannot read the image: code {code}{_reason()}")
        return int(end.value)


def _open_model(cpp: Any, path: str, settings: Settings) -> Any:
    params = cpp.llama_model_default_params()
    params.n_gpu_layers = -1 if settings.gpu else 0
    params.use_extra_bufts = b"AMX" not in cpp.llama_print_system_info()  # gcc 12 builds die in AMX's setup
    return cpp.llama_model_load_from_file(os.fsencode(path), params)


def _open_context(cpp: Any, model: Any, settings: Settings, trained: int) -> Any:
    params = cpp.llama_context_default_params()
    params.n_ctx = max(_wanted(settings, trained) * settings.sequences, _BATCH)  # fewer would cut the batch
    params.n_batch = params.n_ubatch = _BATCH
    params.n_threads = params.n_threads_batch = settings.threads
    params.n_seq_max = settings.sequences
    params.kv_unified = settings.sequences > 1  # one store, so that what is shared is not copied
    params.type_k = params.type_v = _CACHES[settings.cache]
    params.offload_kqv = params.op_offload = settings.gpu
    params.no_perf = True
    if not settings.gpu:
        params.flash_attn_type = cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return cpp.llama_init_from_model(model, params)


def _wanted(settings: Settings, trained: int) -> int:
    return settings.context or min(trained, _CONTEXT)


def _open_vision(mtmd: Any, path: str, model: Any, settings: Settings) -> Any:
    params = mtmd.mtmd_context_params_default()
    params.use_gpu = settings.gpu
    params.n_threads = settings.threads
    params.print_timings = params.warmup = False
    if not settings.gpu:
        params.flash_attn_type = 0
    return mtmd.mtmd_init_from_file(os.fsencode(path), model, params)


def _free(owned: list[tuple[Any, Any]]) -> None:
    """Last opened, first closed."""
    while owned:
        free, handle = owned.pop()
        free(handle)


def _reason() -> str:
    """The library's own last complaint."""
    told = " ".join("".join(_log).split())
    return f": {told[-400:]}" if told else ""


@cache
def _library() -> tuple[Any, Any]:
    """(llama_cpp, its mtmd), both silent from here on."""
    try:
        import llama_cpp
        from llama_cpp import mtmd_cpp
    except ImportError as error:
        raise MissingDependencyError(PIP) from error
    except (OSError, RuntimeError) as error:
        raise MissingDependencyError(f"llama-cpp-python cannot be loaded: {error}; {PIP}") from error
    llama_cpp.llama_log_set(_listener(llama_cpp), None)
    mtmd_cpp.mtmd_log_set(_listener(llama_cpp), None)
    mtmd_cpp.mtmd_helper_log_set(_listener(llama_cpp), None)
    llama_cpp.llama_backend_init()
    return llama_cpp, mtmd_cpp


@cache
def _listener(llama_cpp: Any) -> Any:
    """A callback that keeps what the library says; it lives as long as the library."""
    level_now = 0

    def hear(level: int, text: bytes, _: Any) -> None:
        nonlocal level_now
        level_now = level_now if level == _CONTINUED else level
        if level_now >= _WARNING:
            _log.append(text.decode("utf-8", "replace"))

    return llama_cpp.llama_log_callback(hear)
