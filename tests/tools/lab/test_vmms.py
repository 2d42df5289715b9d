# SPDX-License-Identifier: GPL-2.0-only
"""The cases of the VMM suite, how the VMMs are fetched, what they are given."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile

import pytest

from unikvm.lab import LabError, vmms, vmms_l1

pytestmark = pytest.mark.unit

VMM = vmms.Vmm("some", "1.2", ("one", "two"), "one/bin/run")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNIKVM_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def pip(monkeypatch):
    """pip's command lines; it makes the files, or fails."""
    calls, fails = [], []

    def run(words, **_):
        calls.append(words)
        folder = words[words.index("--target") + 1]
        subprocess.check_call(["mkdir", "-p", f"{folder}/one/bin"])
        subprocess.check_call(["touch", f"{folder}/one/bin/run"])
        return subprocess.CompletedProcess(words, int(bool(fails)), "", "".join(fails))

    monkeypatch.setattr(vmms.subprocess, "run", run)
    return calls, fails


def test_each_case_has_a_judge():
    cases = vmms.all_cases()
    assert len({case.name for case in cases}) == len(cases)
    assert {(case.vmm, case.what) for case in cases} == set(vmms_l1.KINDS)
    assert {case.vmm for case in cases} == {vmm.name for vmm in vmms.VMMS}


def test_a_vmm_is_fetched_once(cache, pip):
    folder = vmms.fetched(VMM)
    assert folder == cache / "vmms" / "some-1.2" == vmms.fetched(VMM)
    (words,), _ = pip
    assert words[0] == sys.executable and words[-2:] == ["one==1.2", "two==1.2"]
    assert (folder / "one/bin/run").stat().st_mode & 0o777 == 0o755


def test_one_that_cannot_be_fetched_leaves_nothing(cache, pip):
    pip[1].append("WARNING: slow\nERROR: No matching distribution\n")
    with pytest.raises(LabError, match="cannot fetch some 1.2: ERROR: No matching distribution"):
        vmms.fetched(VMM)
    assert not list((cache / "vmms").iterdir())


def test_the_image_is_one_layer_that_its_config_names(tmp_path):
    shell = tmp_path / "busybox"
    shell.write_bytes(b"ELF")
    outer = tarfile.open(fileobj=io.BytesIO(vmms_l1.busybox_image(shell)))
    manifest, = json.load(outer.extractfile("manifest.json"))
    assert manifest["RepoTags"] == [vmms_l1.IMAGE]
    layer = outer.extractfile(manifest["Layers"][0]).read()
    config = json.load(outer.extractfile(manifest["Config"]))
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    inner = tarfile.open(fileobj=io.BytesIO(layer))
    assert inner.extractfile("bin/sh").read() == b"ELF"     # through the link
    assert inner.getmember("bin/busybox").mode == 0o755
