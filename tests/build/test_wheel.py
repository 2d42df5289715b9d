# SPDX-License-Identifier: GPL-2.0-only
"""`pip install .`: what the wheel holds, and that it works where no tree is."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lib import tree

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation",
         "--disable-pip-version-check", "-w", str(folder), f"-Cbuild-dir={folder}/build",
         str(tree.ROOT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (found,) = folder.glob("unikvm-*.whl")
    return found


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_firmware_and_its_licence_and_pin_are_inside(names):
    base = "unikvm/firmware/"
    for name in ("bios.bin", "bios.json", "linuxboot.rom", "PIN"):
        assert base + name in names
    assert [name for name in names if name.startswith(base + "seabios/COPYING")]


def test_the_firmware_is_the_tree_s(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = archive.read("unikvm/firmware/bios.bin")
    assert inside == (tree.build_dir() / "site/unikvm/firmware/bios.bin").read_bytes()


def test_licences(names):
    for name in ("GPL-2.0-only", "LGPL-3.0-only", "GPL-3.0-only", "Linux-syscall-note"):
        assert [each for each in names if each.endswith(f"licenses/LICENSES/{name}.txt")], name


def test_every_extension_and_nothing_of_the_kernel(names):
    for source in tree.PACKAGE.rglob("*.pyx"):
        stem = f"unikvm/{source.relative_to(tree.PACKAGE).with_suffix('')}."
        assert [name for name in names if name.startswith(stem) and name.endswith(".so")], stem
    assert not [name for name in names if name.endswith((".ko", ".c", ".pyx", ".o"))]
    tops = {name.split("/")[0] for name in names}
    assert tops <= {"unikvm"} | {top for top in tops if top.endswith(".dist-info")}


def test_it_works_where_no_tree_is(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    env = {"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
           "UNIKVM_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)}

    def run(*words):
        return subprocess.run([sys.executable, "-m", "unikvm", *words], env=env, text=True,
                              capture_output=True, cwd=tmp_path, check=False)

    version = run("version")
    assert version.returncode == 0 and "SeaBIOS" in version.stdout
    lab = run("lab", "--half", "tree", "--", "true")
    assert lab.returncode == 1 and "--half stock" in lab.stderr and "Traceback" not in lab.stderr
    code = "import unikvm.machine.builder, unikvm; print(unikvm.__file__)"
    done = subprocess.run([sys.executable, "-c", code], env=env, text=True, capture_output=True,
                          cwd=tmp_path, check=True)
    assert Path(done.stdout.strip()).is_relative_to(tmp_path)


def test_entry_point(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith("entry_points.txt")]
        assert "unikvm = unikvm.cli:main" in archive.read(name).decode().replace("=", " = ").replace(
            "  ", " ")
