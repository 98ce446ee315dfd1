"""Shared fixtures: where the local patient data is, and a count of the tests that used it."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("voxzoo", deadline=None)  # a busy machine is no wrong answer
settings.load_profile("voxzoo")

USED: set[str] = set()


def _data_root() -> Path | None:
    named = os.environ.get("VOXZOO_DATA")
    root = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    return root if root.is_dir() else None


@pytest.fixture
def data_root(request):
    """The folder of local patient data, or a skip that says how to provide it."""
    root = _data_root()
    if root is None:
        pytest.skip("no patient data: set VOXZOO_DATA or put it at ../shared/data")
    USED.add(request.node.nodeid)
    return root


def pytest_terminal_summary(terminalreporter):
    """Say how many tests really touched patient data, so that a silent skip of all of them shows."""
    terminalreporter.write_line(f"tests on patient data: {len(USED)} ran")
