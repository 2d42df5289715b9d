# SPDX-License-Identifier: GPL-2.0-only
"""From a MachineConfig to a Machine that is ready to run."""
from __future__ import annotations

from ..abi import constants as abi
from ..boot import bzimage, direct, layout, seabios
from ..boot.acpi import tables as acpi
from ..core.errors import UserError
from ..core.memory import GuestMemory
from ..core.vcpu import VcpuThread
from ..core.vm import Kvm, Vm
from ..hw.fwcfg import FwCfg
from . import cpu
from .config import MachineConfig, read_file
from .devices import DEVICES, Wiring
from .machine import Machine
from .memslots import MemorySlots
from .result import Result

REQUIRED = ("IRQCHIP", "USER_MEMORY", "SET_TSS_ADDR", "PIT2", "IRQ_ROUTING", "EXT_CPUID",
            "IOEVENTFD", "SIGNAL_MSI", "IMMEDIATE_EXIT")


def build(config: MachineConfig) -> Machine:
    """Wire a machine.  UserError for what the user can put right; OSError from
    KVM otherwise.  Nothing stays open after either."""
    config.check()
    kvm = Kvm(config.kvm_path)
    try:
        _check_host(kvm, config)
        vm = kvm.create_vm()
    except BaseException:
        kvm.close()
        raise
    return _wire(kvm, vm, config)


def run(config: MachineConfig) -> Result:
    """Build, run and close."""
    machine = build(config)
    try:
        return machine.run()
    finally:
        machine.close()


def _check_host(kvm: Kvm, config: MachineConfig) -> None:
    missing = [name for name in REQUIRED if not kvm.check(getattr(abi, f"KVM_CAP_{name}"))]
    if missing:
        raise UserError(f"{config.kvm_path} lacks {', '.join(missing)}: use a newer kvm "
                        "module, or --on lab")
    # The documented fallbacks of KVMs that know neither capability.
    most = kvm.check(abi.KVM_CAP_MAX_VCPUS) or kvm.check(abi.KVM_CAP_NR_VCPUS) or 4
    if config.cpus > most:
        raise UserError(f"{config.cpus} CPUs: {config.kvm_path} takes {most} at most (--cpus)")


def _wire(kvm: Kvm, vm: Vm, config: MachineConfig) -> Machine:
    machine = Machine(config, vm)
    try:
        _create_chips(kvm, vm)
        machine.memory = GuestMemory(layout.ram_regions(config.memory))
        rom = None if config.boot == "direct" else _load_firmware(machine.memory, config)
        slots = MemorySlots(vm, machine.memory, rom)
        wiring = Wiring(machine, slots, FwCfg(machine.memory))
        for _, wire in DEVICES:
            wire(wiring)
        _create_vcpus(kvm, machine, _prepare_boot(wiring))
    except BaseException:
        # A terminal may be in raw mode already.
        machine.close()
        raise
    return machine


def _create_vcpus(kvm: Kvm, machine: Machine, entry: cpu.EntryState | None) -> None:
    for number in range(machine.config.cpus):
        vcpu = machine.vm.create_vcpu(number)
        cpu.set_up(kvm, vcpu, machine.config.cpus, entry)
        machine.vcpus.append(VcpuThread(vcpu, machine.pio, machine.mmio, machine.vcpu_ended))


def _create_chips(kvm: Kvm, vm: Vm) -> None:
    if kvm.check(abi.KVM_CAP_SET_IDENTITY_MAP_ADDR):
        vm.set_identity_map_addr(layout.KVM_IDENTITY_MAP)
    vm.set_tss_addr(layout.KVM_TSS)
    vm.create_irqchip()
    # The flag keeps port 0x61 in the kernel, where the timer behind it is.
    vm.create_pit2(abi.KVM_PIT_SPEAKER_DUMMY)


def _load_firmware(memory: GuestMemory, config: MachineConfig) -> tuple[int, int]:
    """Put the image below 4 GiB; returns its (gpa, size)."""
    image = seabios.firmware_image(read_file(config.firmware, "firmware"),
                                   str(config.firmware))
    memory.add_rom(image.base, image.image)
    return image.base, len(image.image)


def _prepare_boot(w: Wiring) -> cpu.EntryState | None:
    """Load what the boot way needs; the entry state if it is not reset."""
    config = w.machine.config
    tables = acpi.build(cpus=config.cpus, memory=config.memory)
    kernel = initrd = None
    if config.boot != "disk":
        kernel = bzimage.parse(read_file(config.kernel, "kernel"), str(config.kernel))
        initrd = None if config.initrd is None else read_file(config.initrd, "initrd")
    if config.boot == "direct":
        # What a firmware would have done to the chip set.
        w.host_bridge.open_shadow()
        w.isa_bridge.set_routes(layout.PIRQ_GSI)
        w.pci.assign(layout.pci_mmio_base(config.memory), layout.PCI_MMIO_END)
        return direct.load_linux(w.machine.memory, config.memory, kernel, config.cmdline,
                                 initrd, str(config.initrd), tables)
    _fill_fwcfg(w, tables, kernel, initrd)
    return None


def _fill_fwcfg(w: Wiring, tables: acpi.AcpiTables, kernel: bzimage.BzImage | None,
                initrd: bytes | None) -> None:
    config = w.machine.config
    order = [seabios.pci_disk_path(slot) for slot in w.disk_slots]
    if kernel is not None:
        order.insert(0, seabios.option_rom_path())
    contents = seabios.machine_contents(config.memory, config.cpus, tables, order)
    if kernel is not None:
        if config.option_rom is None:
            raise UserError("no option ROM to boot a kernel through the firmware: build "
                            "the firmware, or use --boot direct")
        seabios.add_kernel(contents, kernel, config.cmdline, initrd, str(config.initrd),
                           config.memory, read_file(config.option_rom, "option ROM"))
    for selector, data in contents.selectors.items():
        w.fwcfg.add_key(selector, data)
    for name, data in contents.files.items():
        w.fwcfg.add_file(name, data)
