# SPDX-License-Identifier: GPL-2.0-only
"""Bad input: one line that names the thing and the way out, and nothing left open."""

import gc
import os
from pathlib import Path

import pytest

from lib.payload import needs_kvm
from unikvm.core.errors import UserError
from unikvm.core.vm import Kvm
from unikvm.machine import builder
from unikvm.machine.config import MIB, DiskConfig, MachineConfig

KERNEL = Path("/kernel")


def one_line(error, *words):
    text = str(error.value)
    assert "\n" not in text
    for word in words:
        assert word in text, text


@pytest.mark.unit
@pytest.mark.parametrize("config, words", [
    (MachineConfig(kernel=KERNEL, memory=MIB), ("1 MiB", "--memory")),
    (MachineConfig(kernel=KERNEL, memory=0), ("0 MiB", "--memory")),
    (MachineConfig(kernel=KERNEL, memory=512 * MIB + 1), ("whole MiB",)),
    (MachineConfig(kernel=KERNEL, memory=1 << 60), ("--memory",)),
    (MachineConfig(kernel=KERNEL, cpus=0), ("--cpus",)),
    (MachineConfig(kernel=KERNEL, cpus=256), ("256 CPUs", "--cpus")),
    (MachineConfig(), ("no kernel", "--kernel")),
    (MachineConfig(boot="firmware", kernel=KERNEL), ("no firmware", "--boot direct")),
    (MachineConfig(boot="disk"), ("no firmware",)),
])
def test_configs_that_cannot_work(config, words):
    with pytest.raises(UserError) as error:
        builder.build(config)
    one_line(error, *words)


@pytest.mark.unit
def test_no_device():
    with pytest.raises(UserError) as error:
        Kvm("/dev/no-such-kvm")
    one_line(error, "/dev/no-such-kvm", "does not exist", "--on lab")


@pytest.mark.unit
@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_no_permission(tmp_path):
    path = tmp_path / "kvm"
    path.touch(mode=0)
    with pytest.raises(UserError) as error:
        Kvm(str(path))
    one_line(error, "permission", "group kvm")


@pytest.mark.unit
def test_not_a_kvm_device():
    with pytest.raises(UserError) as error:
        Kvm("/dev/null")
    one_line(error, "/dev/null", "no KVM device")


def descriptors():
    return set(os.listdir("/proc/self/fd"))


def threads():
    return set(os.listdir("/proc/self/task"))


@pytest.mark.kvm
@needs_kvm
@pytest.mark.parametrize("make, words", [
    (lambda p: {"kernel": p / "missing"}, ("missing", "No such file")),
    (lambda p: {"kernel": p}, ("Is a directory",)),
    (lambda p: {"kernel": file(p, b"not a kernel" * 100)}, ("not a", "kernel")),
    (lambda p: {"kernel": file(p, b"")}, ("kernel",)),
    (lambda p: {"kernel": file(p, b"x"), "cpus": 100_000}, ("100000 CPUs", "--cpus")),
    (lambda p: {"boot": "disk", "firmware": file(p, b"short")}, ("not a BIOS image",)),
    (lambda p: {"boot": "disk", "firmware": p / "missing"}, ("missing", "No such file")),
    (lambda p: {"kernel": file(p, b"x"), "disks": (DiskConfig(p / "missing"),)},
     ("missing",)),
])
def test_bad_files(tmp_path, make, words):
    gc.collect()
    before = descriptors(), threads()
    with pytest.raises(UserError) as error:
        builder.build(MachineConfig(**{"memory": 64 * MIB, **make(tmp_path)}))
    one_line(error, *words)
    assert (descriptors(), threads()) == before, "something stayed open"


def file(folder, content):
    path = folder / "file"
    path.write_bytes(content)
    return path
