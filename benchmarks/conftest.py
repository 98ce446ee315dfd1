"""One thread for everybody, the table of ratios at the end of a run, and ratios in its JSON file."""

import os
import sys
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

sys.path.insert(0, str(Path(__file__).parent))
import _ratio  # noqa: E402


def pytest_benchmark_update_machine_info(config, machine_info):
    """No name of the host in files that are kept."""
    machine_info.pop("node", None)


def pytest_benchmark_update_json(config, benchmarks, output_json):
    """Ratios beside peers and the machine, for ``tables.py``."""
    from voxzoo.eval.environment import describe

    output_json["voxzoo"] = {"ratios": _ratio.ROWS, "machine": describe()}


def pytest_terminal_summary(terminalreporter):
    """Print every ratio, and write them where VOXZOO_BENCH_JSON says."""
    if not _ratio.ROWS:
        return
    terminalreporter.section("times faster than a peer in this run, one thread, minima")
    for line in _ratio.lines():
        terminalreporter.write_line(line)
    if os.environ.get("VOXZOO_BENCH_JSON"):
        _ratio.dump(os.environ["VOXZOO_BENCH_JSON"])
