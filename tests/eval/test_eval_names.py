"""The public names of ``voxzoo.eval`` lead to what they say, whatever was imported before."""

import subprocess
import sys
from types import ModuleType

import pytest
import voxzoo.eval


@pytest.mark.parametrize("name", voxzoo.eval.__all__)
def test_every_name_is_there_and_no_module(name):
    assert not isinstance(getattr(voxzoo.eval, name), ModuleType)
    assert name in dir(voxzoo.eval)


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="hd96"):
        voxzoo.eval.hd96  # noqa: B018


@pytest.mark.parametrize("first", ["voxzoo.eval.confusion", "voxzoo.eval.scoring", "voxzoo.eval.runner"])
def test_confusion_is_the_function_even_after_its_module(first):
    use = "print(voxzoo.eval.confusion([0, 1], [1, 1], labels=(0, 1)).counts.sum())"
    code = f"import {first}, voxzoo.eval; {use}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "2", done.stderr
