"""Counters from recorded traces: wraps, stalls, resets, refusals; nothing here needs the real hardware."""

import os
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxzoo.eval.energy.conditions import Conditions
from voxzoo.eval.energy.counter import Unwrapped
from voxzoo.eval.energy.estimate import Estimate, WattsPerCore
from voxzoo.eval.energy.meters import open_meters
from voxzoo.eval.energy.nvml import LibraryGpu, Nvml, visible_gpu
from voxzoo.eval.energy.powermetrics import Powermetrics, Sample, parse
from voxzoo.eval.energy.rapl import Rapl, zones
from voxzoo.eval.energy.reading import METHODS, Energy, counted, total
from voxzoo.eval.energy.recorder import STALL_S, Recorder
from voxzoo.zoo.errors import RunError, UsageError

RANGE_UJ = 262_143_328_850  # as processors show it: 2^32 units of 61 uJ


class Clock:
    """A clock that a test moves."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")
    return path


def zone(root, folder, name, uj, range_uj=RANGE_UJ):
    """A zone of a powercap tree; gives its counter's file."""
    base = root / "class" / "powercap" / folder
    write(base / "name", name)
    write(base / "max_energy_range_uj", range_uj)
    return write(base / "energy_uj", uj)


@pytest.fixture
def tree(tmp_path):
    """Two packages with sub-zones, a platform zone that holds them, and both packages a second time."""
    files = [zone(tmp_path, f"intel-rapl:{k}", f"package-{k}", 1_000_000 * (k + 1)) for k in (0, 1)]
    for k in (0, 1):
        zone(tmp_path, f"intel-rapl:{k}:0", "core", 500_000)
        zone(tmp_path, f"intel-rapl:{k}:1", "dram", 700_000)
        zone(tmp_path, f"intel-rapl-mmio:{k}", f"package-{k}", 1_000_000 * (k + 1))
    zone(tmp_path, "intel-rapl:2", "psys", 9_000_000)
    (tmp_path / "class" / "powercap" / "intel-rapl").mkdir()
    return SimpleNamespace(root=tmp_path, files=files)


def test_packages_are_counted_once_and_nothing_else(tree):
    assert [(z.name, z.path) for z in zones(tree.root)] == [
        ("package-0", tree.files[0]),
        ("package-1", tree.files[1]),
    ]
    meter = Rapl(tree.root)
    write(tree.files[0], 4_000_000)
    write(tree.files[1], 2_500_000)
    assert meter.joules() == pytest.approx(3.5)
    meter.close()


def test_a_package_that_only_mmio_shows(tmp_path):
    file = zone(tmp_path, "intel-rapl-mmio:0", "package-0", 0)
    assert [z.path for z in zones(tmp_path)] == [file]


def test_rapl_wraps_around(tree):
    clock = Clock()
    write(tree.files[0], RANGE_UJ - 2_000_000)
    meter = Rapl(tree.root, clock)
    clock.now = 1.0
    write(tree.files[0], 5_000_000)
    assert meter.joules() == pytest.approx(7.0)
    assert meter.faults == []


def test_rapl_that_goes_back_without_a_wrap_was_reset(tree):
    clock = Clock()
    write(tree.files[0], 100_000_000_000)  # far from the end: going on over it would be 160 kJ in a second
    meter = Rapl(tree.root, clock)
    clock.now = 1.0
    write(tree.files[0], 5_000_000)
    assert meter.joules() == 0.0
    assert "package-0" in meter.faults[0]
    assert "reset" in meter.faults[0]


def test_no_permission_names_the_file_and_the_way(tree, monkeypatch):
    opened = os.open

    def refuse(path, *args, **kwargs):
        if str(path).endswith("energy_uj"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr("voxzoo.eval.energy.rapl.os.open", refuse)
    with pytest.raises(UsageError, match="no permission") as caught:
        Rapl(tree.root)
    assert str(tree.files[0]) in str(caught.value)
    assert "sudo chmod a+r" in str(caught.value)
    meters, notes = open_meters("auto", root=tree.root)  # goes on, and says why it only estimates
    assert [meter.facts.method for meter in meters] == ["estimate"]
    assert "sudo chmod a+r" in notes[0]
    assert "estimated" in notes[1]
    with pytest.raises(UsageError, match="no permission"):
        open_meters("rapl", root=tree.root)


@pytest.mark.parametrize("text", ["", "abc", "-5"])
def test_a_zone_without_its_range(tmp_path, text):
    zone(tmp_path, "intel-rapl:0", "package-0", 5, range_uj=text)
    with pytest.raises(UsageError, match="max_energy_range_uj"):
        zones(tmp_path)


def test_a_machine_without_rapl(tmp_path):
    assert zones(tmp_path) == []
    with pytest.raises(UsageError, match="no package zone"):
        Rapl(tmp_path)


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=30), st.floats(0, 5000))
def test_whatever_the_trace_wraps_do_not_change_its_sum(steps, start):
    counter, raw = Unwrapped([5000.0]), start
    counter.add(raw % 5000.0, 0.0)
    for second, step in enumerate(steps, start=1):
        raw += step
        counter.add(raw % 5000.0, float(second))
    assert counter.joules == pytest.approx(sum(steps), abs=1e-6)
    assert counter.faults == []


class FakeGpu:
    """A GPU's counter that a test sets."""

    name = "Fake GPU"

    def __init__(self, mj=0):
        self.mj = mj

    def millijoules(self):
        if self.mj is None:
            raise OSError("GPU is lost")
        return self.mj


def followed(gpu, clock):
    """A recorder without a thread: the test looks."""
    return Recorder(Nvml(gpu, clock), poll_s=0, clock=clock)


def advance(recorder, gpu, clock, seconds, watts, step_s=0.05):
    """Time passes, the counter moves."""
    for _ in range(round(seconds / step_s)):
        clock.now += step_s
        gpu.mj += round(watts * step_s * 1000)
        recorder.look()


def test_nvml_by_hand():
    gpu, clock = FakeGpu(10**9), Clock()
    recorder = followed(gpu, clock)
    begin = recorder.mark()
    advance(recorder, gpu, clock, 6.0, 200)
    energy = recorder.between(begin, recorder.mark())
    assert energy.joules == pytest.approx(1200)
    assert energy.watts == pytest.approx(200)
    assert (energy.method, energy.measured, energy.updates) == ("nvml", True, 120)
    assert energy.seconds == pytest.approx(6.0)
    error = 0.05 + 0.1 / 6  # the maker's 5 %, and an update of 100 ms that was not seen
    assert energy.low == pytest.approx(1200 * (1 - error))
    assert energy.high == pytest.approx(1200 * (1 + error))


@pytest.mark.parametrize("bits", [32, 64])
def test_nvml_wraps(bits):
    gpu, clock = FakeGpu(2**bits - 5000), Clock()
    recorder = followed(gpu, clock)
    begin = recorder.mark()
    advance(recorder, gpu, clock, 3.0, 100)
    gpu.mj %= 2**bits
    advance(recorder, gpu, clock, 3.0, 100)
    energy = recorder.between(begin, recorder.mark())
    assert energy.reason == ""
    # Readings of 64 bits are floats here: good to a joule beside 10^16.
    assert energy.joules == pytest.approx(600, abs=8 if bits == 64 else 1e-3)


def test_nvml_that_is_reset_gives_no_figure_for_that_window_alone():
    gpu, clock = FakeGpu(5_000_000), Clock()
    recorder = followed(gpu, clock)
    begin = recorder.mark()
    advance(recorder, gpu, clock, 3.0, 100)
    gpu.mj = 0  # the driver was loaded again
    advance(recorder, gpu, clock, 3.0, 100)
    middle = recorder.mark()
    energy = recorder.between(begin, middle)
    assert energy.joules is None
    assert "reset" in energy.reason
    advance(recorder, gpu, clock, 6.0, 100)
    assert recorder.between(middle, recorder.mark()).joules == pytest.approx(600)


def test_nvml_that_stops():
    gpu, clock = FakeGpu(), Clock()
    recorder = followed(gpu, clock)
    begin = recorder.mark()
    advance(recorder, gpu, clock, 6.0, 100)
    clock.now += STALL_S + 1
    middle = recorder.mark()
    assert "stopped" in recorder.between(begin, middle).reason
    clock.now += 1
    assert "stopped" in recorder.between(middle, recorder.mark()).reason  # it still stands
    advance(recorder, gpu, clock, 6.0, 100)
    end = recorder.mark()
    advance(recorder, gpu, clock, 6.0, 100)
    assert recorder.between(end, recorder.mark()).joules == pytest.approx(600)


def test_a_gpu_that_is_lost():
    gpu, clock = FakeGpu(), Clock()
    recorder = followed(gpu, clock)
    begin = recorder.mark()
    advance(recorder, gpu, clock, 6.0, 100)
    gpu.mj = None
    clock.now += 0.1
    energy = recorder.between(begin, recorder.mark())
    assert energy.joules is None
    assert "GPU is lost" in energy.reason


@pytest.mark.parametrize(("seconds", "updates"), [(0.2, 500), (6.0, 99), (0.0, 0)])
def test_windows_that_the_counter_cannot_resolve_are_refused(seconds, updates):
    energy = counted(METHODS["nvml"], 10.0, seconds, updates)
    assert energy.joules is None
    assert energy.watts is None
    assert "resolves 5 s and 100 updates" in energy.reason


def test_many_pieces_widen_the_band():
    one, many = (counted(METHODS["rapl"], 100.0, 2.0, 900, pieces=n) for n in (1, 200))
    assert many.low < one.low < 100 < one.high < many.high


class FakeLibrary:
    """libnvidia-ml as ctypes sees it."""

    def __init__(self, **codes):
        self.codes = codes
        self.nvmlErrorString = lambda code: {3: b"Not Supported", 4: b"Insufficient Permissions"}.get(code)

    def __getattr__(self, name):
        if not name.startswith("nvml"):
            raise AttributeError(name)

        def call(*arguments):
            if name == "nvmlDeviceGetName":
                arguments[1].value = b"Fake V100"
            if name == "nvmlDeviceGetTotalEnergyConsumption":
                arguments[1]._obj.value = 1234
            return self.codes.get(name, 0)

        return call


def test_the_library_by_its_c_functions():
    gpu = LibraryGpu(0, FakeLibrary())
    assert (gpu.name, gpu.millijoules()) == ("Fake V100", 1234)
    assert LibraryGpu("GPU-123", FakeLibrary()).millijoules() == 1234


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ({"nvmlInit_v2": 9}, "nvmlInit_v2"),
        ({"nvmlDeviceGetHandleByIndex_v2": 4}, "Insufficient Permissions.*dev/nvidia"),
        ({"nvmlDeviceGetTotalEnergyConsumption": 3}, "no energy counter: those since Volta"),
        ({"nvmlDeviceGetTotalEnergyConsumption": 999}, "cannot be read"),
    ],
)
def test_what_the_library_refuses(codes, said):
    with pytest.raises(UsageError, match=said):
        LibraryGpu(0, FakeLibrary(**codes))


def test_the_real_thing_where_it_is():
    try:
        meter = Nvml()
    except UsageError as error:
        pytest.skip(f"no NVIDIA GPU here: {error}")
    first = meter.joules()
    assert meter.joules() >= first >= 0


def test_the_first_visible_gpu_is_metered():
    assert visible_gpu({"CUDA_VISIBLE_DEVICES": "3"}) == 3
    assert visible_gpu({"CUDA_VISIBLE_DEVICES": "MIG-1,0"}) == "MIG-1"
    assert visible_gpu({"CUDA_VISIBLE_DEVICES": ""}) == 0


APPLE = """Machine model: MacBookPro18,3
*** Sampled system activity (Sat Jan  3 10:00:00 2026 +0000) (503.12ms elapsed) ***
**** Processor usage ****
CPU Power: 4210 mW
GPU Power: 100 mW
ANE Power: 0 mW
Combined Power (CPU + GPU + ANE): 4310 mW
*** Sampled system activity (Sat Jan  3 10:00:01 2026 +0000) (500.00ms elapsed) ***
CPU Power: 2000 mW
GPU Power: 0 mW
*** Sampled system activity (Sat Jan  3 10:00:01 2026 +0000) (250.00ms elapsed) ***
no powers in this one
"""
INTEL_MAC = """*** Sampled system activity (Sat Jan  3 10:00:00 2026 +0000) (1000.00ms elapsed) ***
Intel energy model derived package power (CPUs+GT+SA): 7.50W
"""


def test_powermetrics_recorded():
    assert list(parse(APPLE.splitlines())) == [Sample(0.50312, 4.31), Sample(0.5, 2.0)]
    assert list(parse(INTEL_MAC.splitlines())) == [Sample(1.0, 7.5)]
    assert list(parse([])) == []


def test_powermetrics_is_an_estimate_of_apples():
    meter = Powermetrics(APPLE.splitlines(keepends=True))
    meter._thread.join(5)
    assert meter.joules() == pytest.approx(0.50312 * 4.31 + 1.0)
    assert not meter.facts.measured
    meter.close()


def test_powermetrics_elsewhere():
    with pytest.raises(UsageError, match="macOS"):
        Powermetrics()


def test_the_estimate_has_a_band_and_is_never_called_measured():
    energy = WattsPerCore(2, 5, 10).of(3.0, 2.0)
    assert (energy.low, energy.joules, energy.high) == (6, 15, 30)
    assert (energy.measured, energy.method, energy.updates) == (False, "estimate", None)
    with Recorder(Estimate()) as recorder:
        begin = recorder.mark()
        sum(range(200_000))
        energy = recorder.between(begin, recorder.mark())
    assert 0 < energy.low < energy.joules < energy.high


@pytest.mark.parametrize("text", ["", "a", "1:2", "3:2:1", "0:1:2", "-1", "1:2:inf", "1:2:3:4", "nan"])
def test_watts_that_cannot_be(text):
    with pytest.raises(UsageError, match="watts per core"):
        WattsPerCore.parse(text)


def test_a_meter_nobody_knows():
    with pytest.raises(UsageError, match="expected one of auto, rapl"):
        open_meters("wattmeter")


def test_a_gpu_without_its_counter_is_told(tmp_path):
    def refuse():
        raise UsageError("NVML: no NVIDIA driver here")

    meters, notes = open_meters("auto", cuda=True, root=tmp_path, gpu=refuse)
    assert len(meters) == 1
    assert any("GPU's energy is not measured" in note for note in notes)


def test_sums_keep_what_is_not_known():
    cpu = Energy(3.0, 1.0, 6.0, "estimate", False, 2.0, None, "CPU time")
    gpu = Energy(30.0, 28.0, 32.0, "nvml", True, 6.0, 120, "GPU")
    assert not total([cpu, gpu]).measured
    assert total([gpu]).measured
    lost = total([cpu, gpu.without("it stopped")])
    assert lost.joules is None
    assert "nvml: it stopped" in lost.reason
    assert total([]).joules is None
    assert cpu.per(0).joules is None
    assert Energy.from_dict(gpu.to_dict()) == gpu
    with pytest.raises(RunError):
        Energy.from_dict({"joules": 1})


def test_battery_and_throttling(tmp_path):
    before = Conditions.now(tmp_path)
    assert before == Conditions(False, None, None)
    write(tmp_path / "class/power_supply/BAT0/type", "Battery")
    status = write(tmp_path / "class/power_supply/BAT0/status", "Charging")
    write(tmp_path / "class/power_supply/AC/type", "Mains")
    for cpu in (0, 1):
        base = tmp_path / f"devices/system/cpu/cpu{cpu}"
        write(base / "thermal_throttle/core_throttle_count", 2)
        write(base / "thermal_throttle/package_throttle_count", 5)  # one package, shown by both cores
        write(base / "topology/physical_package_id", 0)
        write(base / "cpufreq/scaling_max_freq", 2_000_000)
        write(base / "cpufreq/cpuinfo_max_freq", 4_000_000)
    before = Conditions.now(tmp_path)
    assert before == Conditions(False, 9, 0.5)
    write(status, "Discharging")
    write(tmp_path / "devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", 6)
    lines = before.notes(Conditions.now(tmp_path))
    assert lines[0].startswith("on battery")
    assert "throttled 4 times" in lines[1]
    assert "50%" in lines[2]
