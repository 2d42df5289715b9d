# SPDX-License-Identifier: GPL-2.0-only
"""Machines of several CPUs on the host's KVM: all start, and all end together."""

import os
import signal
import threading
import time

import pytest

from lib import tinykernel
from lib.payload import needs_kvm
from unikvm.core.chardev import BufferBackend
from unikvm.machine import builder
from unikvm.machine.config import MIB, MachineConfig
from unikvm.machine.result import lost_registers, report

pytestmark = [pytest.mark.kvm, needs_kvm]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    return tinykernel.write(tmp_path_factory.mktemp("kernel"), "smp_kernel")


class Said(BufferBackend):
    """Calls back at the guest's first byte."""

    def __init__(self, callback):
        super().__init__()
        self.callback = callback

    def write(self, data):
        super().write(data)
        self.callback()


def machine_of(kernel, letter, cpus, callback=lambda: None, **more):
    return builder.build(MachineConfig(**{
        "kernel": kernel, "cmdline": f"{letter}{cpus:02}", "cpus": cpus, "memory": 32 * MIB,
        "serial": Said(callback), "timeout": 60.0, **more}))


def run(machine):
    try:
        result = machine.run()
    finally:
        machine.close()
    if result.error is not None:
        raise result.error
    assert all(thread.end is not None for thread in machine.vcpus)
    return result, bytes(machine.config.serial.output)


@pytest.mark.parametrize("cpus", [2, 5, 16, 64])
def test_all_cpus_start_and_answer_interrupts(kernel, cpus):
    result, said = run(machine_of(kernel, "p", cpus))
    assert said == b"p"
    assert (result.reason, result.status, result.died) == ("shutdown", 0, False)


def test_another_cpu_resets_the_machine(kernel):
    result, said = run(machine_of(kernel, "k", 4))
    assert said == b"k" and (result.reason, result.status) == ("reset", 0)


def test_the_report_is_of_the_cpu_that_died(kernel):
    result, said = run(machine_of(kernel, "t", 4))
    assert said == b"t"
    assert (result.reason, result.status, result.cpu) == ("triple fault", 255, 3), report(result)
    assert "triple fault on vCPU 3" in report(result)
    if not lost_registers(result.regs, result.sregs):
        assert result.code[:2] == b"\x0f\x0b" and result.regs["rip"] >> 16 == 3


def test_ctrl_c_while_all_cpus_spin(kernel):
    machine = machine_of(kernel, "s", 4, lambda: os.kill(os.getpid(), signal.SIGINT))
    try:
        with pytest.raises(KeyboardInterrupt):
            machine.run()
        assert [thread.end for thread in machine.vcpus] == ["stopped"] * 4
        assert machine.vcpus[0].regs["rip"] >= tinykernel.LOAD
        assert {thread.sregs["cs"]["base"] for thread in machine.vcpus[1:]} == {0x30000}
    finally:
        machine.close()


def test_ctrl_c_before_all_cpus_started(kernel):
    machine = machine_of(kernel, "s", 4)

    class Interrupting:
        def __init__(self, thread):
            self.thread = thread

        def start(self):
            signal.raise_signal(signal.SIGINT)

        def __getattr__(self, name):
            return getattr(self.thread, name)

    machine.vcpus[2] = Interrupting(machine.vcpus[2])
    with pytest.raises(KeyboardInterrupt):
        machine.run()
    assert [thread.end for thread in machine.vcpus] == ["stopped"] * 2 + [None] * 2
    machine.close()


def test_a_timeout_stops_all(kernel):
    result, _ = run(machine_of(kernel, "s", 3, timeout=1.0))
    assert (result.reason, result.status) == ("timeout", 255)


def test_end_from_outside_at_any_moment(kernel):
    """Also while the first CPU still starts the others, and they wait for it."""
    for delay in (0.0, 0.002, 0.01, 0.05):
        machine = machine_of(kernel, "s", 8)
        timer = threading.Timer(delay, machine.end, ("stopped", "by the user"))
        timer.start()
        started = time.monotonic()
        result, _ = run(machine)
        assert (result.reason, result.detail, result.status) == ("stopped", "by the user", 0)
        assert time.monotonic() - started < 60
        timer.join()


def test_nothing_is_left_behind(kernel):
    run(machine_of(kernel, "p", 8))
    before = len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
    run(machine_of(kernel, "p", 8))
    assert (len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))) == before
