"""Device, precision and memory: what can be proved without a GPU."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from voxzoo.export import device  # noqa: E402
from voxzoo.zoo.errors import DeviceError, RunError  # noqa: E402

CPU = torch.device("cpu")


def test_a_gpu_that_is_not_there_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=r"'cuda' was asked for.*sees 0 GPUs") as caught:
        device.pick("cuda")
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert device.pick("cuda") == torch.device("cuda")
    assert device.pick("cuda:0") == torch.device("cuda:0")
    with pytest.raises(DeviceError, match="sees 1 GPUs"):
        device.pick("cuda:1")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "", "mps"])
def test_unknown_devices_are_refused(name):
    with pytest.raises(DeviceError, match="expected cpu, cuda"):
        device.pick(name)


def test_memory_is_what_to_lower():
    """The CPU allocator's own refusal, provoked for real; numpy's; a GPU's as torch raises it."""
    with (
        pytest.raises(RunError, match=r"lower fit.batch \(now 16\)"),
        device.memory_advice("lower fit.batch (now 16)"),
    ):
        torch.empty(2**55)
    with pytest.raises(RunError, match="out of memory"), device.memory_advice("x"):
        np.empty(2**55)
    with pytest.raises(RunError, match="on the GPU"), device.memory_advice("x"):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    with pytest.raises(RuntimeError, match="shapes"), device.memory_advice("x"):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16"])
def test_a_step_moves_the_weights_as_float32(name):
    torch.manual_seed(0)
    net = torch.nn.Linear(8, 4)
    plain = torch.nn.Linear(8, 4)
    plain.load_state_dict(net.state_dict())
    x, y = torch.randn(16, 8), torch.randn(16, 4)
    for network, precision in ((net, device.Precision(name, CPU)), (plain, device.Precision("fp32", CPU))):
        optimiser = torch.optim.SGD(network.parameters(), 0.1)
        for _ in range(3):
            with precision.autocast():
                out = network(x)
            loss = torch.nn.functional.mse_loss(out.float(), y)
            precision.step(loss, optimiser, network, clip=1.0)
    assert net.weight.dtype == torch.float32
    assert out.dtype == torch.float32
    torch.testing.assert_close(net.weight, plain.weight, atol=2e-2, rtol=0)
    assert torch.equal(net.weight, plain.weight) == (name == "fp32")


def test_half_precision_scales_the_loss_and_skips_a_step_that_overflowed():
    net = torch.nn.Linear(1, 1, bias=False)
    optimiser = torch.optim.SGD(net.parameters(), 1.0)
    precision = device.Precision("fp16", CPU)
    before, scale = net.weight.item(), precision.scaler.get_scale()
    precision.step((net(torch.ones(1, 1)) * 1e38 * 1e38).sum(), optimiser, net, clip=1.0)
    assert net.weight.item() == before
    assert precision.scaler.get_scale() == scale / 2
    precision.step(net(torch.ones(1, 1)).sum(), optimiser, net, clip=0.0)
    assert net.weight.item() == pytest.approx(before - 1.0)


def test_the_random_state_comes_back():
    torch.manual_seed(1)
    kept = device.random_state(CPU)
    first = torch.rand(3)
    device.set_random_state(kept, CPU)
    assert torch.equal(torch.rand(3), first)
    torch.manual_seed(2)
    expected = torch.rand(1)
    torch.manual_seed(2)
    with device.kept_random_state(CPU):
        torch.manual_seed(99)
    assert torch.equal(torch.rand(1), expected)


def test_batches_and_networks_are_laid_out_alike():
    flat = device.channels_last(torch.nn.Conv2d(3, 8, 3))
    deep = device.channels_last(torch.nn.Conv3d(3, 8, 3))
    assert flat.weight.is_contiguous(memory_format=torch.channels_last)
    assert deep.weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert device.dense(torch.zeros(2, 3, 4, 5)).is_contiguous(memory_format=torch.channels_last)
    assert device.dense(torch.zeros(2, 3, 4, 5, 6)).is_contiguous(memory_format=torch.channels_last_3d)
    assert device.dense(torch.zeros(2, 3)).shape == (2, 3)


def test_a_gpu_gets_pinned_batches_and_several_makers(monkeypatch):
    """The calls that only a GPU answers are watched on a stand-in for tensors."""
    asked = []

    class Watched:
        def pin_memory(self):
            asked.append("pinned")
            return self

        def to(self, where, non_blocking=False):
            asked.append((str(where), non_blocking))
            return self

    monkeypatch.setattr(torch, "from_numpy", lambda array: Watched())
    device.send((np.zeros(2),), torch.device("cuda"))
    assert asked == ["pinned", ("cuda", True)]
    monkeypatch.setattr(device.os, "cpu_count", lambda: 32)
    assert device.workers(torch.device("cuda")) == 8
    assert device.workers(CPU) == 1


def test_deterministic_kernels_for_the_time_of_training_only():
    before = torch.backends.cudnn.deterministic
    with device.tuned(torch.device("cuda")):
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.deterministic == before
