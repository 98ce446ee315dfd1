"""The public names of ``voxzoo.eval`` lead to what they say, whatever was imported before."""

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
