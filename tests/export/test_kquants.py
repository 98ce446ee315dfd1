"""Block formats of GGUF: against ggml's own quantiser, error bounds derived from the formats, bad inputs."""

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("gguf", reason="needs the [llm] extra")

from voxzoo.export.gguf.kquants import BLOCKS, check_type, dequantise, quantise, row_bytes
from voxzoo.zoo.errors import InputError, UsageError

PLAIN = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")
K_QUANTS = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K")
# Steps of the format over the range of a block: an error is at most half a step, and K-quants round their
# scales to a few bits as well.
STEPS = {"Q4_0": 15, "Q4_1": 15, "Q5_0": 31, "Q5_1": 31, "Q8_0": 254}
LOOSE = {"Q2_K": 0.30, "Q3_K": 0.20, "Q4_K": 0.08, "Q5_K": 0.04, "Q6_K": 0.02}


def rows(n=24, columns=512, seed=0):
    return np.random.default_rng(seed).standard_normal((n, columns)).astype(np.float32)


def by_ggml(weights, name):
    """ggml's answer to the same question, also for the formats that the package writes in numpy."""
    pytest.importorskip("llama_cpp", reason="needs the [llm] extra")
    import gguf

    from voxzoo.export.gguf.kquants import _library

    out = np.empty(weights.shape[0] * row_bytes(weights.shape[1], name), np.uint8)
    kind = int(gguf.GGMLQuantizationType[name])
    _library().ggml_quantize_chunk(
        kind, weights.ctypes.data, out.ctypes.data, 0, weights.shape[0], weights.shape[1], None
    )
    return out.tobytes()


@pytest.mark.parametrize("name", PLAIN)
def test_plain_formats_are_ggmls_own_bytes(name):
    weights = rows()
    assert quantise(weights, name) == by_ggml(weights, name)


@pytest.mark.parametrize("name", K_QUANTS)
def test_k_quants_are_read_as_ggml_reads_them(name):
    pytest.importorskip("llama_cpp", reason="needs the [llm] extra")
    from voxzoo.export.gguf.kquants import _library

    weights = rows()
    data = quantise(weights, name)
    assert len(data) == 24 * row_bytes(512, name)
    read = np.empty_like(weights)
    getattr(_library(), f"dequantize_row_{name.lower().replace('_k', '_K')}")(
        ctypes.c_char_p(data), ctypes.c_void_p(read.ctypes.data), ctypes.c_int64(weights.size)
    )
    np.testing.assert_allclose(dequantise(data, name, 512), read, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", PLAIN)
def test_error_is_at_most_a_step_of_the_format(name):
    weights = rows(columns=64, seed=1)
    error = np.abs(dequantise(quantise(weights, name), name, 64) - weights).reshape(24, 2, 32)
    blocks = weights.reshape(24, 2, 32)
    spread = 2 * np.abs(blocks).max(-1) if name.endswith("_0") else np.ptp(blocks, axis=-1)
    # Q4_0 and Q5_0 have one level less on one side: the largest error there is a whole step.
    assert (error.max(-1) <= 1.01 * spread / STEPS[name]).all()


@pytest.mark.parametrize("name", K_QUANTS)
def test_k_quants_lose_little(name):
    pytest.importorskip("llama_cpp", reason="needs the [llm] extra")
    weights = rows(seed=2)
    error = dequantise(quantise(weights, name), name, 512) - weights
    assert np.linalg.norm(error) < LOOSE[name] * np.linalg.norm(weights)


def test_f32_and_f16_are_numpys():
    weights = rows(3, 5)
    assert quantise(weights, "F32") == weights.tobytes()
    assert quantise(weights, "F16") == weights.astype(np.float16).tobytes()


def test_bf16_rounds_to_nearest_even():
    # 1 + 2^-8 lies half-way between 1 and 1 + 2^-7; 1 + 3 * 2^-8 between 1 + 2^-7 and 1 + 2^-6.
    weights = np.array([[1.0, 1 + 2**-8, 1 + 3 * 2**-8, -2.5]], np.float32)
    assert dequantise(quantise(weights, "BF16"), "BF16", 4).tolist() == [[1.0, 1.0, 1 + 2**-6, -2.5]]


@settings(max_examples=30, deadline=None)
@given(name=st.sampled_from(PLAIN), seed=st.integers(0, 99), n=st.integers(1, 9))
def test_rows_are_quantised_on_their_own(name, seed, n):
    weights = rows(n, 64, seed)
    assert quantise(weights, name) == b"".join(quantise(row[None], name) for row in weights)


@pytest.mark.parametrize("name", ["Q8_0", "Q4_K"])
def test_zeros_stay_zeros(name):
    pytest.importorskip("llama_cpp", reason="needs the [llm] extra")
    zeros = np.zeros((2, 256), np.float32)
    assert not dequantise(quantise(zeros, name), name, 256).any()


def test_no_rows_are_no_bytes():
    assert quantise(np.zeros((0, 32), np.float32), "Q8_0") == b""


def test_sizes_are_the_packages():
    import gguf

    for name, sizes in BLOCKS.items():
        assert gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]] == sizes


def test_importance_formats_are_refused_with_what_to_use():
    with pytest.raises(UsageError, match=r"IQ4_XS needs an importance matrix.*Q4_K"):
        check_type("iq4_xs")
    with pytest.raises(UsageError, match="Q9_9"):
        quantise(rows(1, 32), "Q9_9")


def test_rows_must_be_whole_blocks():
    with pytest.raises(InputError, match="blocks of 256 weights, and a row has 128"):
        quantise(rows(1, 128), "Q4_K")
    with pytest.raises(InputError, match="33 bytes are no whole rows"):
        dequantise(bytes(33), "Q8_0", 32)


@pytest.mark.parametrize("name", ["F32", "F16", "Q8_0", "Q4_K"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(name, bad):
    weights = rows(1, 256)
    weights[0, 3] = bad
    with pytest.raises(InputError, match="NaN or infinity"):
        quantise(weights, name)


def test_weights_beyond_half_precision_are_refused():
    with pytest.raises(InputError, match=r"1e\+05 is too large for F16"):
        quantise(np.full((1, 32), 1e5, np.float32), "F16")
