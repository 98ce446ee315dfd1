"""ONNX Runtime and OpenVINO behind one protocol: same numbers, and never another device or precision."""

import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

from voxzoo.zoo.errors import DeviceError, MissingDependencyError, ModelError, UsageError
from voxzoo.zoo.runtimes import base, threads
from voxzoo.zoo.runtimes import onnxruntime as ort_runtime
from voxzoo.zoo.runtimes import openvino as ov_runtime

INSTALLED = [name for name in base.RUNTIMES if base.get_runtime(name).is_installed()]
each_runtime = pytest.mark.parametrize("name", INSTALLED)
needs_both = pytest.mark.skipif(len(INSTALLED) < 2, reason="needs onnxruntime and openvino")


def expected(x):
    return 1 / (1 + np.exp(-(20 * x[:, :1].astype(np.float64) - 10)))


@pytest.fixture
def image():
    return np.random.default_rng(0).random((1, 4, 8, 10, 12), dtype=np.float32)


@each_runtime
def test_numbers_are_those_of_the_formula(name, tiny, image):
    session = base.open_session(tiny, name, threads=1)
    got = session.run(image, "y")
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected(image), atol=1e-5)
    np.testing.assert_array_equal(session.run(image), got)


@each_runtime
def test_info_says_what_runs(name, tiny):
    info = base.open_session(tiny, name, threads=1).info
    assert (info.name, info.device, info.precision, info.threads) == (name, "cpu", "fp32", 1)
    assert info.version[0].isdigit()
    assert str(info).endswith("cpu, fp32, 1 thread")


@each_runtime
def test_ports_are_read(name, tiny):
    session = base.open_session(tiny, name, threads=1)
    (source,), (out,) = session.inputs, session.outputs
    assert (source.name, source.shape[1:], source.dtype) == ("x", (4, 8, 10, 12), "float32")
    assert (out.name, out.shape[1:]) == ("y", (1, 8, 10, 12))


@each_runtime
def test_bytes_are_as_good_as_a_path(name, tiny, image):
    session = base.open_session(tiny.read_bytes(), name, threads=1)
    np.testing.assert_allclose(session.run(image), expected(image), atol=1e-5)


@each_runtime
def test_answers_are_the_callers_own(name, tiny, image):
    session = base.open_session(tiny, name, threads=1)
    first = session.run(image)
    kept = first.copy()
    session.run(1 - image)
    np.testing.assert_array_equal(first, kept)


@each_runtime
def test_threads_may_share_a_session(name, tiny):
    session = base.open_session(tiny, name, threads=1)
    images = np.random.default_rng(1).random((8, 1, 4, 8, 10, 12), dtype=np.float32)
    wrong = []

    def work(x):
        for _ in range(20):
            if not np.allclose(session.run(x), expected(x), atol=1e-5):
                wrong.append(x)

    workers = [threading.Thread(target=work, args=(x,)) for x in images]
    [w.start() for w in workers]
    [w.join() for w in workers]
    assert not wrong


@each_runtime
def test_a_wrong_tensor_is_one_line(name, tiny):
    session = base.open_session(tiny, name, threads=1)
    with pytest.raises(ModelError, match="cannot run the model") as caught:
        session.run(np.zeros((1, 3, 8, 10, 12), np.float32))
    assert "\n" not in str(caught.value)


@each_runtime
def test_a_damaged_graph_is_one_line(name, tmp_path, make_onnx):
    path = tmp_path / "m.onnx"
    path.write_bytes(make_onnx().replace(b"Sigmoid", b"Sigmoix"))
    with pytest.raises(ModelError, match=r"m\.onnx: .* cannot open it") as caught:
        base.open_session(path, name)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif("onnxruntime" not in INSTALLED, reason="needs onnxruntime")
def test_onnxruntime_names_the_opset_it_lacks(make_onnx):
    with pytest.raises(ModelError, match="opset 99 is newer than its opset"):
        ort_runtime.open_session(make_onnx(opset=99), device="cpu", precision="fp32", threads=1)


@needs_both
def test_auto_takes_openvino_on_a_cpu(tiny):
    assert base.open_session(tiny, device="cpu").info.name == "openvino"


@needs_both
def test_auto_takes_what_is_installed(tiny, monkeypatch):
    monkeypatch.setattr(ov_runtime, "is_installed", lambda: False)
    assert base.open_session(tiny, device="cpu").info.name == "onnxruntime"


def test_no_runtime_gives_the_pip_line(tiny, monkeypatch):
    for name in base.RUNTIMES:
        monkeypatch.setattr(base.get_runtime(name), "is_installed", lambda: False)
    with pytest.raises(MissingDependencyError, match=r'pip install "voxzoo\[cpu\]"'):
        base.open_session(tiny)


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [(ort_runtime, "onnxruntime", "cpu"), (ov_runtime, "openvino", "openvino")],
)
def test_an_absent_package_gives_its_pip_line(module, package, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    module._import.cache_clear()
    assert not module.is_installed()
    with pytest.raises(MissingDependencyError, match=rf'pip install "voxzoo\[{extra}\]"'):
        module.open_session(b"", device="cpu", precision="fp32", threads=1)
    monkeypatch.undo()
    module._import.cache_clear()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"runtime": "tensorrt"}, "unknown runtime 'tensorrt'.*openvino, onnxruntime"),
        ({"device": "tpu"}, "unknown device 'tpu'.*auto, cpu, cuda"),
        ({"precision": "fp8"}, "unknown precision 'fp8'.*fp32"),
        ({"threads": 0}, "threads"),
        ({"threads": 1.5}, "threads"),
        ({"threads": True}, "threads"),
    ],
)
def test_unknown_words_are_listed(tiny, options, words):
    with pytest.raises(UsageError, match=words):
        base.open_session(tiny, **options)


@pytest.mark.skipif("onnxruntime" not in INSTALLED, reason="needs onnxruntime")
@pytest.mark.parametrize("precision", ["bf16", "fp16", "tf32"])
def test_onnxruntime_refuses_precisions_it_would_ignore(tiny, precision):
    with pytest.raises(DeviceError, match=f"not in {precision}"):
        base.open_session(tiny, "onnxruntime", "cpu", precision)


def test_cuda_without_cuda_is_an_error(tiny):
    if any(base.get_runtime(n).offers_cuda() for n in INSTALLED):
        pytest.skip("this machine's onnxruntime has the CUDA provider")
    for name in ("auto", *INSTALLED):
        with pytest.raises(DeviceError):
            base.open_session(tiny, name, "cuda")


@pytest.mark.skipif("onnxruntime" not in INSTALLED, reason="needs onnxruntime")
def test_a_provider_that_falls_back_is_an_error(tiny, monkeypatch):
    """onnxruntime lists CUDA, opens, and quietly runs on the CPU: what happens without a driver."""
    ort = ort_runtime._import()
    real = ort.InferenceSession
    monkeypatch.setattr(
        ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setattr(
        ort,
        "InferenceSession",
        lambda model, options, providers: real(model, options, ["CPUExecutionProvider"]),
    )
    with pytest.raises(DeviceError, match="asked for CUDAExecutionProvider and took CPUExecutionProvider"):
        base.open_session(tiny, "onnxruntime", "cuda")
    with pytest.warns(RuntimeWarning, match="running on cpu"):
        assert base.open_session(tiny, "onnxruntime", "auto").info.device == "cpu"


@pytest.mark.skipif("openvino" not in INSTALLED, reason="needs openvino")
@pytest.mark.parametrize(("precision", "word"), [("fp32", "f32"), ("bf16", "bf16"), ("fp16", "f16")])
def test_openvino_gives_the_precision_or_fails(tiny, precision, word):
    """What the plugin says when it is asked directly decides which of the two has to happen."""
    import openvino

    compiled = openvino.Core().compile_model(str(tiny), "CPU", {"INFERENCE_PRECISION_HINT": word})
    if compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == word:
        assert base.open_session(tiny, "openvino", precision=precision).info.precision == precision
    else:
        with pytest.raises(DeviceError, match=f"asked for {precision}"):
            base.open_session(tiny, "openvino", precision=precision)


@pytest.mark.skipif("openvino" not in INSTALLED, reason="needs openvino")
def test_openvino_always_gets_a_precision(tiny, monkeypatch):
    import openvino

    seen = []
    real = openvino.Core.compile_model
    monkeypatch.setattr(
        openvino.Core, "compile_model", lambda self, m, d, c: seen.append(c) or real(self, m, d, c)
    )
    base.open_session(tiny, "openvino", threads=1)
    assert [c["INFERENCE_PRECISION_HINT"] for c in seen] == ["f32"]


@pytest.mark.skipif("openvino" not in INSTALLED, reason="needs openvino")
def test_opening_with_openvino_sends_no_telemetry(tiny):
    """In a process of its own: the telemetry package is not imported, and no socket is ever made."""
    code = f"""
import socket, sys, threading
def refuse(*args, **kwargs): raise SystemExit("a socket was opened")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from voxzoo.zoo.runtimes.base import open_session
open_session({str(tiny)!r}, "openvino")
assert not any(name.split(".")[0] == "openvino_telemetry" for name in sys.modules), "telemetry was imported"
print("quiet")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("quiet", 0), done.stderr


def test_both_onnxruntime_builds_are_said(monkeypatch):
    monkeypatch.setattr(ort_runtime, "_is_distribution", lambda name: True)
    ort_runtime._import.cache_clear()
    with pytest.warns(RuntimeWarning, match="both installed"):
        ort_runtime._import()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ort_runtime._import()
    ort_runtime._import.cache_clear()


class TestThreads:
    """The default number of threads, on invented machines."""

    @pytest.fixture
    def machine(self, tmp_path, monkeypatch):
        monkeypatch.setattr(threads, "_CPUS", tmp_path / "cpu")
        monkeypatch.setattr(threads, "_CGROUPS", tmp_path / "cgroup")
        monkeypatch.setattr(threads, "_allowed_cpus", lambda: list(range(8)))
        monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
        return tmp_path

    def test_every_cpu_where_nothing_is_known(self, machine):
        assert threads.default_threads() == 8

    def test_hardware_threads_of_a_core_count_once(self, machine):
        for cpu in range(8):
            folder = machine / "cpu" / f"cpu{cpu}" / "topology"
            folder.mkdir(parents=True)
            (folder / "thread_siblings_list").write_text(f"{cpu % 4},{cpu % 4 + 4}\n")
        assert threads.default_threads() == 4

    @pytest.mark.parametrize(
        ("text", "count"), [("250000 100000", 3), ("max 100000", 8), ("50000 100000", 1)]
    )
    def test_cgroup_quota(self, machine, text, count):
        (machine / "cgroup").mkdir()
        (machine / "cgroup" / "cpu.max").write_text(text)
        assert threads.default_threads() == count

    @pytest.mark.parametrize(("quota", "count"), [("200000", 2), ("-1", 8)])
    def test_cgroup_v1_quota(self, machine, quota, count):
        folder = machine / "cgroup" / "cpu"
        folder.mkdir(parents=True)
        (folder / "cpu.cfs_quota_us").write_text(quota)
        (folder / "cpu.cfs_period_us").write_text("100000")
        assert threads.default_threads() == count

    @pytest.mark.parametrize(("text", "count"), [("2", 2), ("", 8), ("many", 8), ("0", 8), ("64", 8)])
    def test_slurm(self, machine, monkeypatch, text, count):
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", text)
        assert threads.default_threads() == count
