"""Every example in a docstring runs, on the installed package."""

import doctest
import importlib
import pkgutil

import pytest

import voxzoo

MODULES = sorted(m.name for m in pkgutil.walk_packages(voxzoo.__path__, "voxzoo."))


def test_the_whole_package_is_walked():
    assert {"voxzoo.eval.surface", "voxzoo.export.train", "voxzoo.rasterize", "voxzoo.zoo.phantom"} <= set(
        MODULES
    )


@pytest.mark.parametrize("name", ["voxzoo", *MODULES])
def test_examples_run(name):
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0
