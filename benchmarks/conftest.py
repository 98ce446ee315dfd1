"""One thread for everybody, and the table of ratios at the end of a run."""

import os
import sys
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

sys.path.insert(0, str(Path(__file__).parent))
import _ratio  # noqa: E402


def pytest_terminal_summary(terminalreporter):
    """Print every ratio, and write them where VOXZOO_BENCH_JSON says."""
    if not _ratio.ROWS:
        return
    terminalreporter.section("times faster than a peer in this run, one thread, minima")
    for line in _ratio.lines():
        terminalreporter.write_line(line)
    if os.environ.get("VOXZOO_BENCH_JSON"):
        _ratio.dump(os.environ["VOXZOO_BENCH_JSON"])
