# SPDX-License-Identifier: GPL-2.0-only
"""Guests out of packages: fetched once, of the right architecture, with a busybox of their own."""

import subprocess

import pytest

from lib import packages
from lib.cpio import entries
from unikvm.lab import LabError, guests, kernels

pytestmark = pytest.mark.unit

VERSION = "9.9.0-1-686"


class FakeApt:
    """Packages made on the spot: an i386 kernel and its busybox."""

    made: list[str | None] = []
    fetched: list[str] = []

    def __init__(self, architecture=None):
        self.made.append(architecture)

    def knows(self, package):
        return package != "linux-image-686-pae"

    def version_of(self, package):
        return "1.0"

    def image_of(self, meta):
        return f"linux-image-{VERSION}"

    def download(self, package, folder):
        self.fetched.append(package)
        return packages.build(package, folder, {
            f"boot/vmlinuz-{VERSION}": "kernel", "bin/busybox": "32-bit",
            f"lib/modules/{VERSION}/modules.order": ""})


@pytest.fixture(autouse=True)
def apt(tmp_path, monkeypatch):
    monkeypatch.setenv("UNIKVM_CACHE", str(tmp_path))
    monkeypatch.setattr(kernels, "Apt", FakeApt)
    monkeypatch.setattr(FakeApt, "made", [])
    monkeypatch.setattr(FakeApt, "fetched", [])
    return FakeApt


def test_a_32_bit_guest_is_fetched_once_and_has_its_own_busybox(apt):
    found = [guests.linux("686") for _ in range(2)]
    assert found[0] == found[1] and found[0].release == VERSION
    assert found[0].vmlinuz.read_text() == "kernel"
    assert apt.fetched == [f"linux-image-{VERSION}", "busybox-static"]
    assert set(apt.made) == {"i386"}
    bodies = {name: body for name, _, body in entries(found[0].initramfs.read_bytes())}
    assert bodies["bin/busybox"] == b"32-bit"


def test_what_apt_does_not_know_is_one_clear_line():
    with pytest.raises(LabError, match="apt knows no package linux-image-686-pae of i386"):
        guests.linux("686-pae")


def test_another_architecture_has_lists_of_its_own(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("UNIKVM_CACHE", str(tmp_path))
    seen = []

    def run(apt, program, *arguments, **_):
        seen.append((program, arguments[0], " ".join(apt._options)))
        known = len(seen) > 2
        return subprocess.CompletedProcess([], 0, "Filename: x\n" if known else "", "")

    monkeypatch.setattr(kernels.Apt, "_run", run)
    assert kernels.Apt("i386").knows("x")
    assert [(program, verb) for program, verb, _ in seen] == [
        ("apt-cache", "show"), ("apt-get", "-q"), ("apt-cache", "show")]
    assert all("APT::Architecture=i386" in options and f"{tmp_path}/apt-i386/lists" in options
               for _, _, options in seen)
