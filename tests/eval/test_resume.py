"""Killed at any moment, the same command goes on and ends with the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

# A run of a slow model in its own process; it says on stdout when a case is on the disk.
CHILD = """
import signal
import sys
import time
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background inherit none
sys.path.insert(0, sys.argv[1])
import conftest
from voxzoo.eval import cli, environment, runner
from voxzoo.zoo import registry

class Slow(conftest.ToyModel):
    def infer(self, prepared):
        time.sleep(float(sys.argv[3]))
        return super().infer(prepared)

environment.code_version = lambda: "code"  # else editing a file while this runs would be another run
registry.load = lambda name, **options: Slow(fail=["case2"], nothing=["case5"])
cases = [conftest.make_case(i, patient=f"p{i // 2}") for i in range(9)]
runner.prepare_run.__globals__["_open"] = lambda data, options: conftest.make_dataset(cases)
cli.main(["--model", "toy", "--data", "toys", "--out", sys.argv[2], "--no-baseline"])
"""


def start(folder, pause):
    here = os.path.dirname(__file__)
    command = [sys.executable, "-c", CHILD, here, str(folder), str(pause)]
    # A session of its own: signals are sent to it alone.
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def finish(folder, pause=0.0):
    child = start(folder, pause)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 1, err  # one case fails, on purpose
    return out, err


def lines(folder):
    path = folder / "records.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for_lines(child, folder, count):
    limit = time.monotonic() + 90
    while lines(folder) < count:
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < limit, "the run does not get on"
        time.sleep(0.005)


def stable(folder):
    """The file's bytes without times, environment and session."""
    plain = json.loads((folder / "results.json").read_bytes())
    for name in ("times", "energy", "environment", "session"):
        del plain[name]
    for case in plain["cases"]:
        del case["seconds"], case["energy"]
    return json.dumps(plain)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    finish(folder)
    return folder


@pytest.mark.parametrize("after", [1, 2, 6])
def test_kill_9_in_the_middle_and_the_same_command_again(tmp_path, whole, after):
    folder = tmp_path / "run"
    child = start(folder, 0.1)
    wait_for_lines(child, folder, after)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert not (folder / "results.json").exists()
    kept = lines(folder)
    _, err = finish(folder)
    assert stable(folder) == stable(whole)
    assert err.count("(on file)") >= max(
        kept - 2, 0
    )  # the first line is the header, one case may have failed


def test_killed_again_and_again_it_still_arrives(tmp_path, whole):
    folder = tmp_path / "run"
    for _ in range(4):
        child = start(folder, 0.05)
        wait_for_lines(child, folder, lines(folder) + 2)
        child.send_signal(signal.SIGKILL)
        child.communicate()
    finish(folder)
    assert stable(folder) == stable(whole)


def test_a_torn_last_line(tmp_path, whole):
    folder = tmp_path / "run"
    folder.mkdir()
    journal = (whole / "records.jsonl").read_bytes()
    (folder / "records.jsonl").write_bytes(journal[:-37])
    finish(folder)
    assert stable(folder) == stable(whole)


def test_ctrl_c_ends_cleanly_and_says_how_to_go_on(tmp_path, whole):
    folder = tmp_path / "run"
    child = start(folder, 0.3)  # a busy machine must not let it end before the signal
    wait_for_lines(child, folder, 4)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    last = err.strip().splitlines()[-1]
    assert "interrupted" in last
    assert "the same command goes on from there" in last
    assert "Traceback" not in err
    assert not (folder / "results.json").exists()
    finish(folder)
    assert stable(folder) == stable(whole)
