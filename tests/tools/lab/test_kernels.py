# SPDX-License-Identifier: GPL-2.0-only
"""Finding kernels: names, versions, the cache, apt's answers."""

import struct

import pytest

from unikvm.lab import LabError, kernels

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNIKVM_CACHE", str(tmp_path))
    return tmp_path


def put_kernel(cache, version, complete=True):
    base = cache / "kernels" / version
    (base / "boot").mkdir(parents=True)
    (base / "lib" / "modules" / version).mkdir(parents=True)
    (base / "boot" / f"vmlinuz-{version}").write_bytes(b"")
    if complete:
        (base / "lib" / "modules" / version / "modules.dep").write_text("")


class NoApt(kernels.Apt):
    """apt that knows nothing."""

    def knows(self, package):
        return False


def image(version=b"6.12.9-test (builder) #1"):
    data = bytearray(0x1000)
    data[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", data, 0x20e, 0x300)
    data[0x500:0x500 + len(version)] = version
    return bytes(data)


def test_versions_sort_by_number():
    names = ["6.1.0-9-amd64", "6.1.0-40-amd64", "6.1.0-10-amd64"]
    assert max(names, key=kernels.version_key) == "6.1.0-40-amd64"


def test_newest_cached_of_a_series(cache):
    for version in ("6.1.0-9-amd64", "6.1.0-40-amd64", "6.12.1+deb12-amd64"):
        put_kernel(cache, version)
    put_kernel(cache, "6.1.0-99-amd64", complete=False)
    assert kernels.newest_cached("6.1").version == "6.1.0-40-amd64"
    assert kernels.newest_cached("6.12").version == "6.12.1+deb12-amd64"
    assert kernels.newest_cached("5.10") is None


def test_without_apt_the_cache_serves(cache, monkeypatch):
    monkeypatch.setattr(kernels, "Apt", NoApt)
    put_kernel(cache, "6.12.1+deb12-amd64")
    assert kernels.newest("linux-image-6.12-amd64").version == "6.12.1+deb12-amd64"
    with pytest.raises(LabError, match="no package linux-image-amd64"):
        kernels.newest("linux-image-amd64")


def test_unknown_version_says_where_to_look(monkeypatch):
    monkeypatch.setattr(kernels, "Apt", NoApt)
    with pytest.raises(LabError, match="apt-cache search"):
        kernels.resolve("6.99.0-1-amd64", kernels.DEFAULT_L2)


@pytest.mark.parametrize("line,expected", [
    ("Depends: linux-image-6.1.0-40-amd64 (= 6.1.153-1)", "linux-image-6.1.0-40-amd64"),
    ("Depends: linux-image-6.12.117+deb12-amd64 (= 6.12.117-1~deb12u1), x",
     "linux-image-6.12.117+deb12-amd64"),
])
def test_meta_package_names_its_image(monkeypatch, line, expected):
    class Done:
        stdout, returncode = f"Package: meta\n{line}\n", 0

    monkeypatch.setattr(kernels.Apt, "_run", lambda *_, **__: Done)
    assert kernels.Apt().image_of("meta") == expected


def test_image_version(tmp_path):
    path = tmp_path / "vmlinuz"
    path.write_bytes(image())
    assert kernels.image_version(path) == "6.12.9-test"
    assert kernels.resolve(str(path), "unused").version == "6.12.9-test"


@pytest.mark.parametrize("data,message", [
    (b"", "no x86 Linux kernel"), (b"#!/bin/sh\n" * 100, "no x86 Linux kernel"),
    (image(b""), "names no kernel version")])
def test_what_is_no_kernel_is_refused(tmp_path, data, message):
    path = tmp_path / "vmlinuz"
    path.write_bytes(data)
    with pytest.raises(LabError, match=message):
        kernels.by_path(path)


def test_missing_and_unreadable_kernel(tmp_path):
    with pytest.raises(LabError, match="No such file"):
        kernels.resolve(str(tmp_path / "nothing"), "unused")


def test_remembered_only_while_apt_lists_are_the_same(cache, monkeypatch):
    put_kernel(cache, "6.1.0-40-amd64")
    monkeypatch.setattr(kernels, "ask_apt",
                        lambda meta, progress: kernels.cached("6.1.0-40-amd64"))
    kernels.newest("linux-image-amd64")
    monkeypatch.setattr(kernels, "ask_apt", None)
    assert kernels.newest("linux-image-amd64").version == "6.1.0-40-amd64"
    monkeypatch.setattr(kernels, "apt_state", lambda: "another")
    with pytest.raises(TypeError):
        kernels.newest("linux-image-amd64")
