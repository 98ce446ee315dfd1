"""llama.cpp with its inside open: embeddings of images, logits after every token. For proofs, not speed."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...zoo.errors import ModelError
from ...zoo.runtimes.llamacpp_native import Native
from ...zoo.runtimes.llamacpp_native import _library as load_library

Floats = NDArray[np.float32]
#: What a model reads: token ids, or embeddings (n, width) of an image.
Part = Sequence[int] | Floats


class Probe(Native):
    """A pair of GGUF files, as ``Native`` opens them.

    Example:
        >>> issubclass(Probe, Native)
        True
    """

    @property
    def width(self) -> int:
        """Of the embeddings that the text model takes."""
        cpp, _ = load_library()
        return int(cpp.llama_model_n_embd(self._model))

    def look(self, image: NDArray[np.uint8]) -> list[Part]:
        """What llama.cpp makes of an image: marks around it as token ids, itself as embeddings.

        Args:
            image: (H, W, 3) uint8, contiguous.

        Raises:
            ModelError: llama.cpp fails.
        """
        _, mtmd = load_library()
        chunks = mtmd.mtmd_input_chunks_init()
        try:
            self._cut(image, chunks)
            found = [
                mtmd.mtmd_input_chunks_get(chunks, i) for i in range(mtmd.mtmd_input_chunks_size(chunks))
            ]
            return [self._encoded(chunk) for chunk in found]
        finally:
            mtmd.mtmd_input_chunks_free(chunks)

    def logits(self, parts: Sequence[Part]) -> Floats:
        """The logits after every token of ``parts`` (not after embeddings), (tokens, n_vocab) float32.

        Everything read before is forgotten.

        Raises:
            ModelError: llama.cpp fails.
        """
        self.forget()
        at, rows = 0, []
        for part in parts:
            if isinstance(part, np.ndarray):
                self._feed(part, at)
            else:
                rows += [self.read([token], at + i) for i, token in enumerate(part)]
            at += len(part)
        return np.stack(rows)

    def greedy(self, parts: Sequence[Part], most: int) -> list[int]:
        """The likeliest tokens after ``parts``, until the answer ends or there are ``most``."""
        ends = set(self.ends())
        out: list[int] = []
        row = self.logits(parts)[-1]
        at = sum(len(part) for part in parts)
        while len(out) < most:
            token = int(row.argmax())
            if token in ends:
                break
            out.append(token)
            row = self.read([token], at)
            at += 1
        return out

    def _encoded(self, chunk: Any) -> Part:
        _, mtmd = load_library()
        count = int(mtmd.mtmd_input_chunk_get_n_tokens(chunk))
        if mtmd.mtmd_input_chunk_get_type(chunk) == mtmd.MTMD_INPUT_CHUNK_TYPE_TEXT:
            number = ctypes.c_size_t()
            tokens = mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(number))
            return [int(tokens[i]) for i in range(number.value)]
        code = mtmd.mtmd_encode_chunk(self._vision, chunk)
        if code:
            raise ModelError(f"llama.cpp cannot encode the image: code {code}")
        values = np.ctypeslib.as_array(mtmd.mtmd_get_output_embd(self._vision), shape=(count * self.width,))
        return np.array(values, dtype=np.float32).reshape(count, self.width)

    def _feed(self, embeddings: Floats, at: int) -> None:
        """Read embeddings from position ``at`` on."""
        cpp, _ = load_library()
        count, width = embeddings.shape
        batch = cpp.llama_batch_init(count, width, 1)
        try:
            batch.n_tokens = count
            ctypes.memmove(batch.embd, np.ascontiguousarray(embeddings).ctypes.data, 4 * count * width)
            for i in range(count):
                batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0] = at + i, 1, 0
                batch.logits[i] = i == count - 1
            code = cpp.llama_decode(self._context, batch)
        finally:
            cpp.llama_batch_free(batch)
        if code:
            raise ModelError(f"llama.cpp cannot read {count} embeddings at {at}: code {code}")
