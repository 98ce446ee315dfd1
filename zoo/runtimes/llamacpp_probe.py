"""A trial of files that nobody vouched for, in a process of its own: a native crash becomes an error.

``python -m voxzoo.zoo.runtimes.llamacpp_probe TEXT MMPROJ JSON`` opens both, shows a grey image and reads one
token, which runs every kernel that an answer runs.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import asdict

from ..errors import DeviceError, ModelError, VoxzooError
from ..ggufpair import GgufPair
from .llamacpp_native import Native, Settings, version

__all__ = ["probe"]

_SECONDS = 120.0
_SECONDS_A_GIGABYTE = 60.0
_passed: set[tuple[str, str, Settings]] = set()
_REFUSED = 3


def probe(pair: GgufPair, settings: Settings, command: tuple[str, ...] = ()) -> None:
    """Open the files in another process; once a process and pair.

    Args:
        pair: the files.
        settings: as they will be opened here.
        command: instead of this module, for tests.

    Raises:
        ModelError: llama.cpp refuses the files, crashes on them, or does not come to an end.
        DeviceError: the GPU that was asked for is not to be had.
    """
    version()
    key = (pair.content_hash, pair.text.sha256, settings)
    if key in _passed:
        return
    run = command or (sys.executable, "-m", __name__)
    gigabytes = pair.size / 1e9
    mmproj = pair.mmproj.name if pair.mmproj else ""
    arguments = [*run, pair.text.name, mmproj, json.dumps(asdict(settings))]
    try:
        done = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS + gigabytes * _SECONDS_A_GIGABYTE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"{pair.text.name}: llama.cpp did not open it in {error.timeout:.0f} s: not used"
        ) from error
    if done.returncode:
        raise _told(pair, done.returncode, done.stderr.decode("utf-8", "replace"))
    _passed.add(key)


def _told(pair: GgufPair, code: int, printed: str) -> ModelError:
    last = " ".join(printed.split())[-400:]
    if code == _REFUSED:
        kind, _, text = last.partition(" ")
        return DeviceError(text) if kind == "DeviceError" else ModelError(text)
    how = signal.Signals(-code).name if -code in {s.value for s in signal.Signals} else f"exit code {code}"
    with_mmproj = f" with {pair.mmproj.name}" if pair.mmproj else ""
    return ModelError(
        f"{pair.text.name}{with_mmproj}: llama.cpp {version()} crashes on them ({how}): not used. "
        f"{last}".rstrip()
    )


def main(arguments: list[str]) -> int:
    """The trial itself: 0 is well."""
    import numpy as np

    text, mmproj, plain = arguments
    try:
        native = Native(text, mmproj or None, Settings(**json.loads(plain)))
        end = native.show(np.full((128, 128, 3), 128, np.uint8), 0) if mmproj else 0
        native.read([0], end)
    except VoxzooError as error:
        print(type(error).__name__, error, file=sys.stderr)
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
