"""The wheel holds every module and every declared data file, nothing else, and stays small."""

import subprocess
import sys
import zipfile
from pathlib import Path

FLOORS = ("rasterize", "zoo", "eval", "export", "cards")
LIMIT_MB = 80


def expected() -> set[str]:
    """Tracked files that belong to the package."""
    tracked = subprocess.run(["git", "ls-files"], check=True, capture_output=True, text=True).stdout.split(
        "\n"
    )
    inside = {f for f in tracked if f.split("/")[0] in FLOORS}
    return {f"voxzoo/{f}" for f in inside | {"__init__.py", "py.typed"}}


def main(path: Path) -> int:
    """Compare and report; 1 when anything differs."""
    with zipfile.ZipFile(path) as wheel:
        found = {f for f in wheel.namelist() if ".dist-info/" not in f}
    size = path.stat().st_size / 1e6
    for name in sorted(found ^ expected()):
        print(f"{'unexpected in' if name in found else 'missing from'} the wheel: {name}")
    print(f"{path.name}: {len(found)} files, {size:.1f} MB (limit {LIMIT_MB})")
    return int(found != expected() or size > LIMIT_MB)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
