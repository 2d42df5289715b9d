# SPDX-License-Identifier: GPL-2.0-only
"""The ioctl wrappers on the host's KVM: state in and out, errors by name, event descriptors."""

import errno
import os

import pytest

from lib.payload import RAM, Doorbell, PayloadVm, Recorder, assemble, needs_kvm
from unikvm.abi import constants as abi
from unikvm.core.vm import CpuidEntry

pytestmark = [pytest.mark.kvm, needs_kvm]


@pytest.fixture
def vm():
    """A VM with interrupt chips and a payload of `hlt; jmp .-1`."""
    made = PayloadVm(b"\xf4\xeb\xfd", chips=True)
    yield made
    made.close()


@pytest.fixture
def eventfd():
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    yield fd
    os.close(fd)


def count(fd):
    try:
        return os.eventfd_read(fd)
    except BlockingIOError:
        return 0


def test_capabilities(vm):
    assert vm.kvm.check(abi.KVM_CAP_IRQCHIP) == 1
    assert vm.kvm.check(999_999) == 0
    assert vm.vm.check(abi.KVM_CAP_NR_VCPUS) >= 1


def test_general_registers_round_trip(vm):
    values = {name: 0x1111 * number for number, name in enumerate(
        ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", "r8", "r15", "rip"))}
    vm.vcpu.set_regs(values)
    got = vm.vcpu.get_regs()
    assert {name: got[name] for name in values} == values
    vm.vcpu.set_regs({"rax": 1})
    assert vm.vcpu.get_regs()["rbx"] == values["rbx"], "what is not named stays"
    with pytest.raises(KeyError, match="r99"):
        vm.vcpu.set_regs({"r99": 0})


def test_special_registers_round_trip(vm):
    before = vm.vcpu.get_sregs()
    assert before["cs"]["base"] == 0xFFFF0000 and vm.vcpu.get_regs()["rip"] == 0xFFF0
    vm.vcpu.set_sregs({"cs": {"base": 0x4000, "selector": 0x400}, "gdt": {"limit": 0x77},
                       "cr2": 0x1234})
    after = vm.vcpu.get_sregs()
    assert after["cs"] == {**before["cs"], "base": 0x4000, "selector": 0x400}
    assert after["gdt"]["limit"] == 0x77 and after["cr2"] == 0x1234
    assert after["ds"] == before["ds"]
    with pytest.raises(KeyError):
        vm.vcpu.set_sregs({"cr99": 0})


def test_msrs(vm):
    vm.vcpu.set_msrs({0x174: 0x10, 0x175: 0xABCD, 0xC0000082: 0xFFFFFFFF81000000})
    assert vm.vcpu.get_msrs([0x175, 0xC0000082]) == {0x175: 0xABCD,
                                                      0xC0000082: 0xFFFFFFFF81000000}
    with pytest.raises(OSError, match="0x12345678 refused"):
        vm.vcpu.set_msrs({0x174: 0, 0x12345678: 1})
    assert 0x174 in vm.kvm.msr_index_list()


def test_cpuid(vm):
    entries = vm.kvm.supported_cpuid()
    assert {0, 1, 0x80000000, 0x80000001} <= {entry.function for entry in entries}
    with pytest.raises(ValueError, match="more than"):
        vm.vcpu.set_cpuid([CpuidEntry(0, 0, 0, 0, 0, 0, 0)] * 300)


def test_local_apic_round_trip(vm):
    page = bytearray(vm.vcpu.get_lapic())
    page[0x350:0x354] = (0x700).to_bytes(4, "little")
    vm.vcpu.set_lapic(bytes(page))
    assert vm.vcpu.get_lapic()[0x350:0x354] == (0x700).to_bytes(4, "little")
    with pytest.raises(ValueError):
        vm.vcpu.set_lapic(b"short")


def test_mp_state(vm):
    assert vm.vcpu.get_mp_state() == abi.KVM_MP_STATE_RUNNABLE
    second = vm.vm.create_vcpu(1)
    assert second.get_mp_state() == abi.KVM_MP_STATE_UNINITIALIZED
    second.close()


@pytest.mark.parametrize("call, name, number", [
    (lambda v: v.vm.set_memory(1, 0x1000001, 4096, 0), "KVM_SET_USER_MEMORY_REGION",
     errno.EINVAL),
    (lambda v: v.vm.set_memory(1, 0, 4096, v.memory.hva(0)), "KVM_SET_USER_MEMORY_REGION",
     errno.EEXIST),
    (lambda v: v.vm.create_irqchip(), "KVM_CREATE_IRQCHIP", errno.EEXIST),
    (lambda v: v.vm.create_vcpu(0), "KVM_CREATE_VCPU", errno.EEXIST),
    (lambda v: v.vm.irqfd(-1, 4), "KVM_IRQFD", errno.EBADF),
    (lambda v: v.vm.ioeventfd(0x500, 3, 0, pio=True), "KVM_IOEVENTFD", errno.EINVAL),
    (lambda v: v.vm.set_gsi_routing([(0, ("irqchip", 9, 0))]), "KVM_SET_GSI_ROUTING",
     errno.EINVAL),
])
def test_refusals_name_the_ioctl(vm, call, name, number):
    with pytest.raises(OSError, match=name) as error:
        call(vm)
    assert error.value.errno == number


def test_memory_slots_can_be_deleted(vm):
    vm.vm.set_memory(1, 1 << 30, 4096, vm.memory.hva(0))
    vm.vm.set_memory(1, 1 << 30, 0, 0)
    vm.vm.set_memory(1, 1 << 30, 4096, vm.memory.hva(0))


def test_a_read_only_slot_turns_writes_into_exits(vm):
    if not vm.kvm.check(abi.KVM_CAP_READONLY_MEM):
        pytest.skip("this KVM has no read-only slots")
    # movb $0x55, (0x40000000); movb 0x40000000, %al; out %al, $0x80; 1: hlt; jmp 1b
    vm.memory.write(0x1000, bytes.fromhex("c6042500000040 55 8a042500000040 e680 f4 ebfd"))
    vm.memory.write(0x100000, b"\xaa")
    vm.vm.set_memory(1, 1 << 30, RAM - 0x100000, vm.memory.hva(0x100000),
                     abi.KVM_MEM_READONLY)
    device, said = Recorder(), []
    vm.mmio.register(1 << 30, 4096, device, "rom")

    def finish(value):
        said.append(value)
        vm.thread.stop()

    vm.pio.register(0x80, 1, Doorbell(finish), "end")
    assert vm.long_mode().run().end == "stopped"
    assert device.writes == [(0, 1, 0x55)] and device.reads == []
    assert said == [0xAA] and vm.memory.load8(0x100000) == 0xAA


def test_ioeventfds_take_writes_without_an_exit(eventfd):
    vm = PayloadVm(assemble("notify"), chips=True).long_mode()
    matched, plain, memory = (os.eventfd(0, os.EFD_NONBLOCK) for _ in range(3))
    try:
        ports, device = Recorder(), Recorder()
        vm.pio.register(0x500, 2, ports, "ports")
        vm.mmio.register(0x80000000, 0x1000, device, "memory")
        vm.pio.register(0x600, 1, Doorbell(lambda value: vm.thread.stop()), "end")
        vm.vm.ioeventfd(0x500, 2, matched, match=1, pio=True)
        vm.vm.ioeventfd(0x80000000, 2, memory)
        vm.vm.ioeventfd(0x80000004, 4, plain)
        vm.vm.ioeventfd(0x80000004, 4, plain, assign=False)
        assert vm.run().end == "stopped"
        assert count(matched) == 2 and ports.writes == [(0, 2, 2)]
        assert count(memory) == 1 and count(plain) == 0
        assert device.writes == [(2, 2, 8), (4, 4, 9)]
    finally:
        vm.close()
        for fd in (matched, plain, memory):
            os.close(fd)


def test_irqfd_raises_an_interrupt(eventfd):
    vm = PayloadVm(assemble("pic"), chips=True).real_mode()
    taken = []
    try:
        vm.vm.irqfd(eventfd, 4)
        vm.pio.register(0x300, 1, Doorbell(lambda value: os.eventfd_write(eventfd, 1)), "raise")

        def finish(value):
            taken.append(value)
            vm.thread.stop()

        vm.pio.register(0x302, 1, Doorbell(finish), "count")
        assert vm.run().end == "stopped"
        assert taken == [3]
        vm.vm.irqfd(eventfd, 4, assign=False)
    finally:
        vm.close()


def test_a_routed_message_reaches_the_apic(eventfd):
    """GSI 20 leads to a message instead of the IOAPIC; the guest counts it."""
    vm = PayloadVm(assemble("ioapic"), chips=True).long_mode()
    taken = []
    try:
        vm.vm.set_gsi_routing([(20, ("msi", 0xFEE00000, 0x50)), (21, ("msi", 0xFEE00000, 0x51))])

        def ask(value):
            if value == 1:
                os.eventfd_write(eventfd, 1)
            else:
                vm.vm.irq_line(21, True)

        def finish(value):
            taken.append(value)
            vm.thread.stop()

        vm.vm.irqfd(eventfd, 20)
        vm.pio.register(0x300, 1, Doorbell(ask), "ask")
        vm.pio.register(0x303, 4, Doorbell(finish), "count")
        assert vm.run().end == "stopped"
        assert taken == [0x101]
    finally:
        vm.close()


def test_run_once_says_why_it_came_back():
    vm = PayloadVm(b"\xe6\x10\xf4").real_mode()
    try:
        assert vm.vcpu.run_once() == abi.KVM_EXIT_IO
        assert vm.vcpu.run_once() == abi.KVM_EXIT_HLT
        assert vm.vcpu.exit_reason == abi.KVM_EXIT_HLT
    finally:
        vm.close()


def test_closing_twice_is_harmless(vm):
    vm.thread.stop()
    for _ in range(2):
        vm.vcpu.close()
        vm.vm.close()
        vm.kvm.close()
