# SPDX-License-Identifier: GPL-2.0-only
"""Kernel headers: found where they are, fetched and made to fit where they are not."""

import subprocess

import pytest

from lib import packages
from unikvm.lab import LabError, headers, kernels

pytestmark = pytest.mark.unit

VERSION = "9.9.1-test"
UTS_RELEASE = '#define UTS_RELEASE "{}"\n'


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNIKVM_CACHE", str(tmp_path))
    return tmp_path


def put(folder, version=VERSION):
    release = folder / headers.RELEASE
    release.parent.mkdir(parents=True)
    release.write_text(UTS_RELEASE.format(version))
    return folder


def test_a_kernel_built_here_has_its_own(cache):
    assert headers.find(VERSION) is None
    build = put(cache / "kernels" / VERSION / "build")
    assert headers.find(VERSION) == build


def test_headers_of_another_kernel_are_none(cache):
    put(cache / "kernels" / VERSION / "build", "9.9.2-test")
    assert headers.find(VERSION) is None


class FakeApt:
    """Packages made on the spot: the headers, their common part and Kbuild."""

    def __init__(self, known):
        self.known, self.fetched = known, []

    def knows(self, package):
        return package in self.known

    def depends(self, package):
        return ["linux-base", f"linux-headers-{VERSION}-common", "linux-kbuild-9.9", "gcc-12"]

    def download(self, package, folder):
        self.fetched.append(package)
        base = f"usr/src/{package}"
        return packages.build(package, folder, {
            f"{base}/{headers.RELEASE}": UTS_RELEASE.format(VERSION),
            f"{base}/Makefile": f"include /usr/src/linux-headers-{VERSION}-common/Makefile\n",
        } if package == f"linux-headers-{VERSION}" else {})


def test_fetched_headers_name_the_place_they_are_in(cache):
    apt = FakeApt([f"linux-headers-{VERSION}"])
    found = headers.fetch(apt, VERSION, lambda _: None)
    assert found == headers.find(VERSION) and found.is_relative_to(cache)
    assert apt.fetched == [f"linux-headers-{VERSION}", f"linux-headers-{VERSION}-common",
                           "linux-kbuild-9.9"]
    assert (found / "Makefile").read_text() == (
        f"include {cache}/headers/{VERSION}/usr/src/linux-headers-{VERSION}-common/Makefile\n")


def test_unknown_headers_are_one_clear_line(cache):
    with pytest.raises(LabError, match=f"no headers of kernel {VERSION}"):
        headers.fetch(FakeApt([]), VERSION, lambda _: None)


def test_dependencies_come_from_apt_one_a_line(monkeypatch):
    output = "x\n  Depends: a\n |Depends: b\n  Depends: <virtual>\n    c\n  Recommends: d\n"
    monkeypatch.setattr(kernels.Apt, "_run", lambda *_, **__: subprocess.CompletedProcess(
        [], 0, output, ""))
    assert kernels.Apt().depends("x") == ["a", "b", "<virtual>"]
