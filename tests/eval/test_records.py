"""The journal: what is in it survives, what is not whole is dropped, runs are never mixed."""

import json
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxzoo.eval.jsonnum import decode, encode
from voxzoo.eval.records import FAILED, SCORED, CaseRecord, Journal, cache_key
from voxzoo.zoo.errors import InputError, RunError

RUN = {"name": "toy", "options": {"empty": "penalty"}}


def record(case="c1", model="toy", **values):
    values = {"metrics": {"dice": 0.1 + 0.2, "hd95": math.inf, "assd": math.nan}, **values}
    return CaseRecord(
        model, case, "p1", SCORED, key="k", shape=(3, 4, 5), spacing_mm=(1.0, 1.0, 2.5), **values
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "records.jsonl"


@given(st.floats())
def test_numbers_come_back_to_the_last_bit(value):
    back = decode(json.loads(json.dumps(encode(value), allow_nan=False)))
    assert back == value or (math.isnan(back) and math.isnan(value))


@pytest.mark.parametrize("bad", ["1.0", True, [1]])
def test_no_number(bad):
    with pytest.raises(InputError):
        decode(bad)


def test_records_come_back_exactly(path):
    with Journal(path, RUN) as journal:
        journal.append(record())
    with Journal(path, RUN) as journal:
        found = journal.find("toy", "c1")
    assert math.isnan(found.metrics.pop("assd"))
    assert found.metrics == {"dice": 0.30000000000000004, "hd95": math.inf}
    assert (found.shape, found.spacing_mm, found.key) == ((3, 4, 5), (1.0, 1.0, 2.5), "k")


def test_the_newest_record_counts(path):
    with Journal(path, RUN) as journal:
        journal.append(CaseRecord("toy", "c1", "p1", FAILED, reason="truncated"))
        journal.append(record())
    with Journal(path, RUN) as journal:
        assert journal.find("toy", "c1").status == SCORED
        assert len(journal) == 1


def test_models_do_not_share_records(path):
    with Journal(path, RUN) as journal:
        journal.append(record(model="baseline"))
        assert journal.find("toy", "c1") is None


def test_any_cut_of_the_file_loses_at_most_the_line_it_hit(path):
    with Journal(path, RUN) as journal:
        for i in range(3):
            journal.append(record(f"c{i}"))
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for cut in sorted({*range(0, len(whole) + 1, 9), *ends, *(end - 1 for end in ends)}):
        path.write_bytes(whole[:cut])
        with Journal(path, RUN) as journal:
            assert len(journal) == max(sum(end <= cut for end in ends) - 1, 0)
            journal.append(record("new"))
        assert all(json.loads(line) for line in path.read_bytes().splitlines())


def test_an_unreadable_line_costs_its_own_case_only(path):
    with Journal(path, RUN) as journal:
        for i in range(3):
            journal.append(record(f"c{i}"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1] + b"\0\0\0\n" + lines[3])
    with Journal(path, RUN) as journal:
        assert [journal.find("toy", f"c{i}") is not None for i in range(3)] == [True, False, True]


def test_another_run_is_refused_and_the_difference_named(path):
    Journal(path, RUN).close()
    with pytest.raises(RunError, match=r"options\.empty: 'penalty' there, 'nan' asked for.*--overwrite"):
        Journal(path, {**RUN, "options": {"empty": "nan"}})


@pytest.mark.parametrize("content", [b"hello\n", b"[1]\n", b'{"schema": "voxzoo.records/9", "run": {}}\n'])
def test_a_file_that_is_no_journal_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(RunError, match="--overwrite"):
        Journal(path, RUN)
    assert path.read_bytes() == content


def _elsewhere(code, path):
    """What a process of its own prints after running ``code`` on the journal at ``path``."""
    head = (
        "import sys\n"
        "from pathlib import Path\n"
        "from voxzoo.eval.records import SCORED, CaseRecord, Journal\n"
        f"path, run = Path(sys.argv[1]), {RUN!r}\n"
    )
    command = [sys.executable, "-c", head + code, str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


OPEN = """
from voxzoo.zoo.errors import RunError
try:
    Journal(path, run).close()
except RunError as error:
    print(error)
"""

FILL_THE_DISK = """
import os, resource, signal
from voxzoo.zoo.errors import RunError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Journal(path, run) as journal:
    journal.append(CaseRecord("toy", "c0", "p1", SCORED, key="k"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat(path).st_size + 20, -1))
    try:
        journal.append(CaseRecord("toy", "c1", "p1", SCORED, key="k"))
    except RunError as error:
        print(error)
"""


def test_two_processes_do_not_write_to_one_run(path):
    with Journal(path, RUN):
        assert "in use by another process" in _elsewhere(OPEN, path)
    assert _elsewhere(OPEN, path) == ""


def test_a_full_disk_leaves_whole_lines_only(path):
    message = _elsewhere(FILL_THE_DISK, path)
    assert "cannot be written" in message
    assert "the same command goes on" in message
    assert path.read_bytes().endswith(b"\n")
    with Journal(path, RUN) as journal:
        assert (journal.find("toy", "c0") is not None, journal.find("toy", "c1")) == (True, None)


def test_an_unwritable_place(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        Journal(tmp_path / "file" / "records.jsonl", RUN)


def test_every_part_of_a_key_matters():
    parts = {"model": "a", "options": {"empty": "nan", "tolerance_mm": 1.0}}
    changed = [{**parts, "model": "b"}, {**parts, "options": {"empty": "nan", "tolerance_mm": 2.0}}]
    assert len({cache_key(p) for p in [parts, *changed]}) == 3
