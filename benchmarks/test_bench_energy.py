"""What metering costs a run: microseconds for each case, whose limit is 50.

pytest benchmarks/test_bench_energy.py -s
"""

import sys
import time
from pathlib import Path

from voxzoo.eval.energy.estimate import Estimate
from voxzoo.eval.energy.items import ItemMeter
from voxzoo.eval.energy.rapl import Rapl

sys.path.insert(0, str(Path(__file__).parent))
from _ratio import fastest, ratio_report

LIMIT_S = 50e-6
WORKERS = 4


def powercap(root, packages=2):
    """Files as RAPL's; what the hardware itself takes to answer is not in them."""
    for k in range(packages):
        zone = root / "class" / "powercap" / f"intel-rapl:{k}"
        zone.mkdir(parents=True)
        (zone / "name").write_text(f"package-{k}\n")
        (zone / "max_energy_range_uj").write_text("262143328850\n")
        (zone / "energy_uj").write_text("123456789\n")
    return root


def a_case(meter):
    """All that is done more for a case than without energy: the clocks of its stages, a lap, its record."""
    load = time.thread_time()
    load = time.thread_time() - load
    infer = meter.cpu.seconds()
    infer = meter.cpu.seconds() - infer
    lap = meter.lap()
    done = [time.thread_time() for _ in range(3)]
    cpu = {"load": load, "infer": infer, "finish": done[1] - done[0], "score": done[2] - done[1]}
    return meter.item(cpu, lap)


def test_overhead_of_a_case(benchmark, tmp_path):
    meters = {"estimate": ItemMeter([Estimate()]), "RAPL, 2 packages": ItemMeter([Rapl(powercap(tmp_path))])}
    for name, meter in meters.items():
        for _ in range(WORKERS):
            meter.cpu.leave_out()  # as many clocks to take off as a run has threads
        with meter:
            seconds = fastest({name: lambda m=meter: a_case(m)}, 200)[name]
            ratio_report(
                f"energy of a case, {name}", seconds, {"limit of 50 us": LIMIT_S}, {"limit of 50 us": 1}
            )
    with ItemMeter([Estimate()]) as meter:
        benchmark(a_case, meter)
