# SPDX-License-Identifier: GPL-2.0-only
"""Which debug kernel in the cache counts, and what of a build stays when it fails."""

import pytest

from unikvm.lab import LabError, debugkernel

pytestmark = pytest.mark.unit

VERSION = "6.1.99-unikvm-debug"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache with sources in it whose make is a function below."""
    monkeypatch.setenv("UNIKVM_CACHE", str(tmp_path))
    source = tmp_path / "source"
    source.mkdir()
    (source / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 99\n")
    config = tmp_path / "debug.config"
    config.write_text("CONFIG_KASAN=y\n")
    monkeypatch.setattr(debugkernel, "CONFIG", config)
    monkeypatch.setattr(debugkernel.sources, "get", lambda *_: source)
    monkeypatch.setattr(debugkernel, "make", install)
    return tmp_path


def install(_log, arguments):
    """What `make modules_install` and `make bzImage` leave behind."""
    for word in arguments:
        name, _, value = word.partition("=")
        base = debugkernel.kernels.store() / VERSION
        if name == "O":
            (base / "build/arch/x86/boot").mkdir(parents=True, exist_ok=True)
            (base / "build/arch/x86/boot/bzImage").touch()
        elif name == "INSTALL_MOD_PATH":
            (base / "lib/modules" / VERSION).mkdir(parents=True, exist_ok=True)
            (base / "lib/modules" / VERSION / "modules.dep").touch()


def kernel(said):
    return debugkernel.kernel(said.append)


def test_it_is_built_once():
    said = []
    assert kernel(said).version == VERSION and len(said) == 2
    assert kernel(said).version == VERSION and len(said) == 2


def test_another_config_makes_it_stale(cache):
    said = []
    kernel(said)
    (cache / "debug.config").write_text("CONFIG_KASAN=y\nCONFIG_MEMORY_FAILURE=y\n")
    assert debugkernel.built() is None
    kernel(said)
    assert len(said) == 4 and debugkernel.built() is not None


def test_a_build_that_fails_leaves_none(cache, monkeypatch):
    kernel([])
    old = (cache / "debug.config").read_text()
    (cache / "debug.config").write_text("CONFIG_NONSENSE=y\n")

    def fail(_log, _arguments):
        raise LabError("no")

    monkeypatch.setattr(debugkernel, "make", fail)
    with pytest.raises(LabError):
        kernel([])
    (cache / "debug.config").write_text(old)
    assert debugkernel.built() is None
