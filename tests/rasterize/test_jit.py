"""Kernels compile wherever the package was installed: with numba's cache, a private one, or none."""

import numpy as np
import pytest
from numba.core import caching

from voxzoo.rasterize import jit


def add_one(a):
    return a + 1


@pytest.fixture
def locators(monkeypatch):
    """Sets which places numba may try; every kernel of this process that exists already keeps its own."""

    def only(*classes):
        for kind in (caching.CompileResultCacheImpl, caching.CacheImpl):
            monkeypatch.setattr(kind, "_locator_classes", list(classes), raising=False)

    return only


def test_where_nothing_can_be_written_it_still_runs(locators):
    locators()
    compiled = jit.kernel(add_one)
    assert compiled(2) == 3
    assert not compiled.stats.cache_path


def test_a_read_only_install_caches_in_a_private_temporary_folder(locators, monkeypatch, tmp_path):
    locators(caching.UserProvidedCacheLocator)
    monkeypatch.setattr(jit.tempfile, "gettempdir", lambda: str(tmp_path))
    compiled = jit.kernel(add_one)
    assert compiled(2) == 3
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    assert str(folder) in compiled.stats.cache_path
    assert list(folder.rglob("*.nbi"))


def test_a_cache_folder_that_another_user_owns_is_not_trusted(monkeypatch, tmp_path):
    monkeypatch.setattr(jit.tempfile, "gettempdir", lambda: str(tmp_path))
    assert jit._temporary_cache() is not None
    monkeypatch.setattr(jit.os, "getuid", lambda: 4_242_424)
    assert jit._temporary_cache() is None


def test_no_cache_folder_survives_in_numbas_settings(locators, monkeypatch, tmp_path):
    before = caching.config.CACHE_DIR
    locators(caching.UserProvidedCacheLocator)
    monkeypatch.setattr(jit.tempfile, "gettempdir", lambda: str(tmp_path))
    jit.kernel(add_one)(np.int64(1))
    assert before == caching.config.CACHE_DIR
