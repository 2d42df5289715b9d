# SPDX-License-Identifier: GPL-2.0-only
"""DKMS builds the tree and puts its modules in place of the distribution's."""

import os
import re
import shutil
import subprocess

import pytest

from lib import tree
from unikvm.lab import headers, kernels, modules

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def conf_version() -> str:
    return re.search(r'^PACKAGE_VERSION="(.+)"$', (tree.ROOT / "dkms.conf").read_text(),
                     re.MULTILINE).group(1)


@pytest.mark.unit
def test_dkms_and_meson_agree_on_the_version():
    text = (tree.ROOT / "meson.build").read_text()
    assert f"version: '{conf_version()}'" in text


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, check=False,
                          env=dict(os.environ, PATH=PATH))
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def machine(tmp_path):
    """A root with a kernel's modules as distributed, and the tree where DKMS looks for it."""
    kernel = kernels.newest(kernels.DEFAULT_L1)
    shutil.copytree(kernel.modules, tmp_path / "lib/modules" / kernel.version, symlinks=True,
                    copy_function=os.symlink)
    source = tmp_path / "src" / f"unikvm-{conf_version()}"
    for path in tree.tracked_files():
        target = source / path.relative_to(tree.ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    run("depmod", "-b", tmp_path, kernel.version)
    return tmp_path, kernel.version


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(shutil.which("dkms", path=PATH) is None, reason="dkms is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="dkms installs as root only")
def test_dkms_install_makes_ours_the_machine_s(machine):
    root, version = machine
    stock = run("modinfo", "-b", root, "-k", version, "-F", "filename", "kvm-amd").strip()
    assert "/kernel/arch/x86/kvm/" in stock
    trees = ["--sourcetree", root / "src", "--dkmstree", root / "dkms",
             "--installtree", root / "lib/modules"]
    package = f"unikvm/{conf_version()}"
    (root / "dkms").mkdir()
    run("dkms", "add", package, *trees)
    run("dkms", "install", package, *trees, "-k", version, "--no-depmod",
        "--kernelsourcedir", headers.get(version))
    run("depmod", "-b", root, version)
    for name in ("kvm", "kvm-amd"):
        found = run("modinfo", "-b", root, "-k", version, "-F", "filename", name).strip()
        assert f"/{version}/updates/" in found
        assert modules.modinfo(found, "vermagic").split()[0] == version
    assert modules.modinfo(
        run("modinfo", "-b", root, "-k", version, "-F", "filename", "kvm").strip(),
        "version") == conf_version()
