# SPDX-License-Identifier: GPL-2.0-only
"""Whole machines on the host's KVM: a tiny kernel booted directly, SeaBIOS from a disk."""

import gc
import gzip
import os
import signal
import struct
import threading
import time
from pathlib import Path

import pytest

from lib import tinykernel
from lib.payload import assemble, needs_kvm
from unikvm.core.chardev import BufferBackend
from unikvm.machine import builder
from unikvm.machine.config import MIB, DiskConfig, MachineConfig
from unikvm.machine.result import Result, lost_registers, report

pytestmark = [pytest.mark.kvm, needs_kvm]

SEABIOS = Path("/usr/share/seabios/bios.bin")


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    return tinykernel.write(tmp_path_factory.mktemp("kernel"))


def boot(kernel, cmdline, **more):
    """Run the tiny kernel: (result, what it said on the serial port)."""
    serial = BufferBackend()
    result = builder.run(MachineConfig(**{
        "kernel": kernel, "cmdline": cmdline, "memory": 32 * MIB, "serial": serial,
        "timeout": 60.0, **more}))
    if result.error is not None:
        raise result.error
    return result, bytes(serial.output)


def test_power_off(kernel):
    result, said = boot(kernel, "power off")
    assert said == b"power off"
    assert (result.reason, result.status, result.died) == ("shutdown", 0, False)
    assert result.exits["io"] >= len(said)
    assert result.hits["com1"] >= len(said) and result.hits["acpi pm"] == 1


def test_initrd_arrives(kernel, tmp_path):
    initrd = tmp_path / "initrd"
    initrd.write_bytes(gzip.compress(b"ramdisk"))
    result, said = boot(kernel, "p", initrd=initrd)
    # gzip's header up to its first zero byte, which ends what the guest prints.
    assert result.reason == "shutdown" and said == b"p\x1f\x8b\x08"


@pytest.mark.parametrize("cmdline", ["keyboard controller", "92", "cf9"])
def test_every_way_to_reset(kernel, cmdline):
    result, said = boot(kernel, cmdline)
    assert said.decode() == cmdline
    assert (result.reason, result.status) == ("reset", 0)


def test_triple_fault_is_reported(kernel):
    result, _ = boot(kernel, "triple fault")
    assert (result.reason, result.status, result.died, result.cpu) == ("triple fault", 255, True, 0)
    if lost_registers(result.regs, result.sregs):
        assert "registers are those of a reset" in report(result)
        pytest.skip("this KVM resets a vCPU at its triple fault")
    image = assemble("tiny_kernel", tinykernel.LOAD)
    at = result.regs["rip"] - tinykernel.LOAD
    assert result.code[:2] == b"\x0f\x0b" == image[at:at + 2]
    assert result.sregs["idt"]["limit"] == 0
    text = report(result)
    assert text.startswith("guest died: triple fault on vCPU 0")
    assert f"rip {result.regs['rip']:016x}" in text
    assert "code 0f 0b" in text


def test_a_report_says_when_the_registers_are_gone():
    """As stock kvm-amd does: it re-initializes a vCPU whose VMCB the shutdown undefined."""
    segment = {"selector": 0, "base": 0, "limit": 0xFFFF, "type": 3, "s": 1, "dpl": 0,
               "present": 1, "l": 0, "db": 0}
    sregs = {**dict.fromkeys("cr0 cr2 cr3 cr4 cr8 efer apic_base".split(), 0),
             **dict.fromkeys("ss ds es fs gs tr ldt gdt idt".split(), segment),
             "cs": {**segment, "base": 0xFFFF0000, "selector": 0xF000}}
    result = Result("triple fault", cpu=0, regs={"rip": 0xFFF0}, sregs=sregs, code=b"\xea")
    assert "registers are those of a reset" in report(result)
    sregs["cs"] = {**segment, "base": 0}
    assert "registers are those of a reset" not in report(result)


def test_timeout(kernel):
    started = time.monotonic()
    result, _ = boot(kernel, "hang", timeout=1.0)
    assert (result.reason, result.status) == ("timeout", 255)
    assert time.monotonic() - started < 30
    assert result.code[:1] in (b"\xf4", b"\xeb"), "it says where the guest was"


def test_input_reaches_the_guest(kernel):
    serial = BufferBackend()
    machine = builder.build(MachineConfig(kernel=kernel, cmdline="echo ", memory=32 * MIB,
                                          serial=serial, timeout=60.0))
    timer = machine.loop.timer(lambda: serial.feed(b"Z"))
    timer.arm(0.2)
    try:
        result = machine.run()
    finally:
        machine.close()
    assert result.reason == "shutdown" and serial.output == b"echo Z"


def test_end_from_another_thread(kernel):
    machine = builder.build(MachineConfig(kernel=kernel, cmdline="hang", memory=32 * MIB))
    threading.Timer(0.5, machine.end, ("stopped", "by the user")).start()
    try:
        result = machine.run()
    finally:
        machine.close()
    assert (result.reason, result.detail, result.status) == ("stopped", "by the user", 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_end_the_guest_and_are_given_back(kernel, number):
    before = signal.getsignal(number)
    threading.Timer(0.5, os.kill, (os.getpid(), number)).start()
    result, _ = boot(kernel, "hang")
    assert (result.reason, result.detail) == ("stopped", number.name)
    assert signal.getsignal(number) == before


def test_ctrl_c_takes_the_machine_apart(kernel):
    machine = builder.build(MachineConfig(kernel=kernel, cmdline="hang", memory=32 * MIB))
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        machine.run()
    assert all(not vcpu.end is None for vcpu in machine.vcpus)
    machine.close()


def test_machines_leave_nothing_behind(kernel):
    boot(kernel, "p")
    gc.collect()
    before = len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
    for _ in range(5):
        boot(kernel, "p")
    assert (len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))) == before


def test_several_cpus_wait_for_the_first(kernel):
    result, said = boot(kernel, "p", cpus=3)
    assert result.reason == "shutdown" and said == b"p"


def test_memory_above_4_gib(kernel):
    result, _ = boot(kernel, "p", memory=3 * 1024 * MIB + 64 * MIB)
    assert result.reason == "shutdown"


@pytest.mark.slow
@pytest.mark.skipif(not SEABIOS.exists(), reason="no SeaBIOS from the distribution")
def test_seabios_boots_a_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(assemble("boot_sector", 0x7C00) + bytes(MIB - 512))
    assert disk.read_bytes()[510:512] == struct.pack("<H", 0xAA55)
    debug = bytearray()
    result = builder.run(MachineConfig(boot="disk", firmware=SEABIOS, memory=64 * MIB,
                                       disks=(DiskConfig(disk),), debugcon=debug.extend,
                                       timeout=240.0))
    if result.error is not None:
        raise result.error
    assert b"Running on QEMU (i440fx)" in debug
    assert b"boot sector runs" in debug, debug.decode("latin1")[-500:]
    assert result.reason == "shutdown"
