# SPDX-License-Identifier: GPL-2.0-only
"""Real guests on the host's KVM: what they do to ports and memory reaches the devices."""

import time

import pytest

from lib.payload import Doorbell, PayloadVm, Recorder, assemble, needs_kvm
from unikvm.core.bus import Device
from unikvm.core.irq import GsiLine, VmMsi
from unikvm.machine.result import lost_registers

pytestmark = [pytest.mark.kvm, needs_kvm]


@pytest.fixture
def make():
    """Make VMs that are closed at the test's end."""
    made = []

    def maker(*args, **kwargs):
        made.append(PayloadVm(*args, **kwargs))
        return made[-1]

    yield maker
    for vm in made:
        vm.close()


def test_port_io_of_every_width(make):
    vm = make(assemble("pio")).real_mode()
    first, string = Recorder(0x99, 0x8877, 0x66554433), Recorder()
    vm.pio.register(0x200, 16, first, "first")
    vm.pio.register(0x210, 16, string, "string")
    source = Recorder(1, 2, 3, 4, 0x0605, 0x0807, 0x0C0B0A09, 0x100F0E0D)
    sink = Recorder()
    vm.pio.register(0x220, 16, source, "source")
    vm.pio.register(0x230, 16, sink, "sink")
    end = vm.run()
    assert end.end == "halted"
    assert first.writes == [
        (0, 1, 0x11), (0, 2, 0x2233), (0, 4, 0x44556677),
        (1, 1, 0x99), (1, 2, 0x8877), (1, 4, 0x66554433),
        (15, 1, 0xAA)]
    assert first.reads == [(0, 1), (0, 2), (0, 4)]
    letters = [(0, 1, letter) for letter in b"hello"]
    assert string.writes == [*letters, (0, 2, 0x1234), (0, 2, 0x5678), (0, 4, 0x56781234),
                             *reversed(letters), (0, 1, 0xBB), (1, 4, 0xFFFFFFFF)]
    assert source.reads == [(0, 1)] * 4 + [(0, 2)] * 2 + [(0, 4)] * 2
    assert sink.writes == [(0, 1, value) for value in range(1, 17)]


def test_mmio_in_protected_mode(make):
    vm = make(assemble("mmio32")).protected_mode()
    device = Recorder(0xA5, 0xB6C7, 0xD8E9FA0B, 0xF1, 0xF1)
    vm.mmio.register(0x80000000, 0x1000, device, "device")
    assert vm.run().end == "halted"
    assert device.writes[:6] == [(0, 1, 0x11), (2, 2, 0x2233), (4, 4, 0x44556677),
                                 (8, 1, 0xA4), (8, 2, 0xA3A4), (8, 4, 0xA1A2A3A4)]
    echoed = [write for write in device.writes if write[0] == 0x40]
    assert echoed == [(0x40, 1, 0xA5), (0x40, 2, 0xB6C7), (0x40, 4, 0xD8E9FA0B),
                      (0x40, 4, 0xF1), (0x40, 4, 0xFFFFFFF1), (0x40, 4, 0xFFFFFFFF)]
    strings = [write for write in device.writes if write[0] >= 0x50]
    assert flat(strings) == {0x50: 4, 0x51: 3, 0x52: 2, 0x53: 1, 0x54: 8, 0x55: 7, 0x56: 6,
                             0x57: 5, 0x60: 0x5A, 0x61: 0x5A, 0x62: 0x5A}


def flat(writes):
    """Bytes by offset: KVM may merge or split what a string instruction writes."""
    return {offset + i: value >> 8 * i & 0xFF
            for offset, width, value in writes for i in range(width)}


def test_mmio_in_long_mode_and_cpuid(make):
    vm = make(assemble("mmio64")).long_mode()
    device = Recorder(0x8877665544332211)
    vm.mmio.register(0x80000000, 0x1000, device, "device")
    assert vm.run().end == "halted"
    writes = dict((offset, (width, value)) for offset, width, value in device.writes)
    assert writes[0] == (8, 0x1122334455667788)
    assert writes[8] == (8, 0x8877665544332211)
    assert writes[16] == (4, 0x44332211)
    assert writes[0x20][1] >> 31, "no hypervisor bit in CPUID leaf 1"
    assert writes[0x24][1].to_bytes(4, "little") == b"KVMK"


def test_interrupts_through_the_pic(make):
    vm = make(assemble("pic"), chips=True).real_mode()
    line = GsiLine(vm.vm, 4)
    taken = []
    vm.pio.register(0x300, 1, Doorbell(lambda value: line.set(True)), "raise")
    vm.pio.register(0x301, 1, Doorbell(lambda value: line.set(False)), "lower")

    def finish(count):
        taken.append(count)
        vm.thread.stop()

    vm.pio.register(0x302, 1, Doorbell(finish), "count")
    assert vm.run().end == "stopped"
    assert taken == [3]


def test_level_interrupt_through_the_ioapic_and_a_message(make):
    vm = make(assemble("ioapic"), chips=True).long_mode()
    line, msi = GsiLine(vm.vm, 20), VmMsi(vm.vm)
    taken = []

    def ask(value):
        if value == 1:
            line.set(True)
        else:
            assert msi.signal(0xFEE00000, 0x51)

    def finish(count):
        taken.append(count)
        vm.thread.stop()

    vm.pio.register(0x300, 1, Doorbell(ask), "ask")
    vm.pio.register(0x301, 1, Doorbell(lambda value: line.set(False)), "lower")
    vm.pio.register(0x303, 4, Doorbell(finish), "count")
    assert vm.run().end == "stopped"
    assert taken == [0x101], "one level interrupt and one message, no more"


def test_triple_fault_has_registers(make):
    # mov $0x1234, %eax; lidt 0x2000, where zeros are; ud2
    vm = make(bytes.fromhex("b834120000" "0f011d00200000" "0f0b"), chips=True)
    end = vm.protected_mode().run()
    assert end.end == "triple fault"
    if lost_registers(end.regs, end.sregs):
        pytest.skip("this KVM resets a vCPU at its triple fault")
    assert end.regs["rax"] == 0x1234
    assert end.regs["rip"] == 0x100C
    assert end.sregs["idt"]["limit"] == 0


def test_stop_takes_a_spinning_vcpu_out(make):
    vm = make(assemble("spin")).real_mode()
    vm.pio.register(0x200, 1, Device(), "sink")
    vm.thread.start()
    time.sleep(0.3)
    started = time.monotonic()
    vm.thread.stop()
    assert vm.thread.join(10)
    assert time.monotonic() - started < 5
    assert vm.thread.end == "stopped"
    # The exit's I/O was completed: rip is at an instruction of the loop.
    assert vm.thread.regs["rip"] in (0x1003, 0x1004)


def test_stop_takes_a_halted_vcpu_out(make):
    vm = make(b"\xf4\xeb\xfd", chips=True).real_mode()
    vm.thread.start()
    time.sleep(0.2)
    vm.thread.stop()
    assert vm.thread.join(10)
    assert vm.thread.end == "stopped"


def test_stop_before_start(make):
    vm = make(assemble("spin")).real_mode()
    vm.thread.stop()
    vm.thread.start()
    assert vm.thread.join(10)
    assert vm.thread.end == "stopped"


def test_a_device_that_raises_ends_the_machine(make):
    vm = make(assemble("spin")).real_mode()

    def fail(value):
        raise ZeroDivisionError("a bug in a device")

    vm.pio.register(0x200, 1, Doorbell(fail), "bad")
    with pytest.raises(ZeroDivisionError, match="a bug in a device"):
        vm.run()
    assert vm.thread.end == "device failed"


@pytest.mark.parametrize("device, python", [(Device(), False), (Recorder(), True)])
def test_only_python_devices_take_the_interpreter_lock(make, device, python):
    """And exits come at a rate that a boot can live with (10000/s is slow)."""
    vm = make(assemble("spin")).real_mode()
    vm.pio.register(0x200, 1, device, "sink")
    vm.thread.start()
    time.sleep(1)
    vm.thread.stop()
    assert vm.thread.join(10)
    exits = vm.thread.exits["io"]
    assert exits > 2000
    assert vm.pio.python_calls == (exits if python else 0)
    assert vm.pio.hits()["sink"] == exits
