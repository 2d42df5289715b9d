# SPDX-License-Identifier: GPL-2.0-only
"""When the patched emulator is built, from what, and what stays when that fails."""

import runpy
import shutil

import pytest

from lib import tree
from unikvm import cli
from unikvm.lab import LabError, patchedqemu

VERSION = "1:7.2+dfsg-1"
LISTING = """Package: qemu
Version: 1:7.2+dfsg-1
Files:
 0123 6909 qemu_7.2+dfsg-1.dsc
 4567 23523172 qemu_7.2+dfsg.orig.tar.xz

Package: qemu
Version: 1:10.0-1
Files:
 89ab 6909 qemu_10.0-1.dsc
"""


class Apt:
    """An apt that knows what LISTING says."""

    listing = LISTING

    def __init__(self, package, work):
        assert package == "qemu"
        self.work = work

    def why_not(self):
        return " (no net)"

    def download(self, version, wanted):
        (self.work / wanted).write_text(version)
        return self.work / wanted


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A cache, patches of our own, an apt above and a compiler below."""
    monkeypatch.setenv("UNIKVM_CACHE", str(tmp_path))
    shutil.copytree(patchedqemu.PATCHES, tmp_path / "patches")
    monkeypatch.setattr(patchedqemu, "PATCHES", tmp_path / "patches")
    monkeypatch.setattr(patchedqemu, "AptSource", Apt)
    monkeypatch.setattr(patchedqemu, "installed_version", lambda: VERSION)
    monkeypatch.setattr(patchedqemu, "compile_in", compiled)
    return tmp_path


def compiled(scratch, description, _log):
    """A binary that tells its source."""
    (scratch / "build").mkdir()
    (scratch / "build" / patchedqemu.BINARY).write_text(description.name)


@pytest.mark.unit
def test_it_is_built_once(bench):
    said = []
    first = patchedqemu.binary(said.append)
    assert first.read_text() == "qemu_7.2+dfsg-1.dsc" and len(said) == 3
    assert patchedqemu.binary(said.append) == first and len(said) == 3
    assert sorted(path.name for path in (bench / "qemu").iterdir()) == [".lock", first.parent.name]


@pytest.mark.unit
@pytest.mark.parametrize("change", ["patch", "devices", "option", "source"])
def test_what_makes_it_stale(bench, monkeypatch, change):
    first = patchedqemu.binary()
    if change == "patch":
        (bench / "patches/0099-more.patch").write_text("--- a\n")
    elif change == "devices":
        (bench / "patches/devices.mak").write_text("CONFIG_Q35=y\n")
    elif change == "option":
        monkeypatch.setattr(patchedqemu, "CONFIGURE", ("--disable-tcg",))
    else:
        monkeypatch.setattr(patchedqemu, "installed_version", lambda: "1:10.0-1")
    assert patchedqemu.binary() != first and first.is_file()


@pytest.mark.unit
def test_the_newest_source_where_none_is_installed(bench, monkeypatch):
    monkeypatch.setattr(patchedqemu, "installed_version", lambda: None)
    assert patchedqemu.binary().read_text() == "qemu_10.0-1.dsc"


@pytest.mark.unit
def test_without_a_source(bench, monkeypatch):
    monkeypatch.setattr(Apt, "listing", "")
    with pytest.raises(LabError, match=r"no source package qemu \(no net\).*apt has to reach"):
        patchedqemu.binary()
    monkeypatch.setattr(Apt, "listing", LISTING)
    old = patchedqemu.binary()
    monkeypatch.setattr(Apt, "listing", "")
    monkeypatch.setattr(patchedqemu, "installed_version", lambda: "1:7.2+dfsg-9")
    assert patchedqemu.binary() == old


@pytest.mark.unit
def test_a_build_that_fails_leaves_none(bench, monkeypatch):
    def fail(scratch, _description, _log):
        (scratch / "build").mkdir()
        raise LabError("no")

    monkeypatch.setattr(patchedqemu, "compile_in", fail)
    with pytest.raises(LabError, match="^no$"):
        patchedqemu.binary()
    assert [path.name for path in (bench / "qemu").iterdir()] == [".lock"]


@pytest.mark.unit
def test_a_step_that_fails_is_named_with_its_log(tmp_path):
    log = tmp_path / "log"
    with pytest.raises(LabError, match=r"does not configure: ERROR: no glib; .*log: .*/log$"):
        patchedqemu.step(log, tmp_path, "configure", ["sh", "-c", "echo ERROR: no glib; exit 1"])
    with pytest.raises(LabError, match="does not compile"):
        patchedqemu.step(log, tmp_path, "compile", ["/nonexistent"])


@pytest.mark.unit
@pytest.mark.parametrize("words, wanted", [
    ("lab --lab-qemu patched -- true", True), ("run --lab-qemu=patched", True),
    ("lab --lab-qemu /usr/bin/qemu -- --lab-qemu patched", False), ("run", False),
    ("bench exits --short", True), ("bench exits --count", False)])
def test_the_front_door_installs_for_it(words, wanted):
    front = runpy.run_path(str(tree.ROOT / "unikvm"), run_name="front")
    assert front["wants_emulator"](words.split()) is wanted


@pytest.mark.unit
def test_patches_are_installed():
    ours = tree.PACKAGE / "lab" / "qemu-patches"
    installed = tree.build_dir() / "site" / "unikvm" / "lab" / "qemu-patches"
    names = {path.name for path in ours.iterdir()}
    assert len(names) > 3 and {path.name for path in installed.iterdir()} == names


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_a_lab_machine_of_two_cpus(capfd):
    """Built by the front door's way, from Debian's source; it boots and knows SVM."""
    assert cli.main(["lab", "--half", "stock", "--lab-qemu", patchedqemu.NAME, "--lab-cpus", "2",
                     "--", "grep -c '^flags.* svm ' /proc/cpuinfo"]) == 0
    assert capfd.readouterr().out == "2\n"
    assert patchedqemu.binary().parent.name.endswith(patchedqemu.patches_id())
