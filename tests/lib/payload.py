# SPDX-License-Identifier: GPL-2.0-only
"""Small guests made of one assembler file, and a machine of few parts to run them on."""

from __future__ import annotations

import os
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import pytest

from unikvm.boot import cpuid, entry
from unikvm.core.bus import Bus
from unikvm.core.memory import GuestMemory
from unikvm.core.vcpu import VcpuThread
from unikvm.core.vm import Kvm, Vm

SOURCES = Path(__file__).resolve().parents[1] / "tools" / "payloads"
LOAD = 0x1000
RAM = 2 << 20
PATIENCE = 30.0

needs_kvm = pytest.mark.skipif(not os.access("/dev/kvm", os.R_OK | os.W_OK),
                               reason="no usable /dev/kvm on this host")


@lru_cache
def assemble(name: str, load: int = LOAD, *defines: str) -> bytes:
    """payloads/NAME.S as a flat binary linked at load."""
    with tempfile.TemporaryDirectory() as folder:
        obj, binary = Path(folder, "o"), Path(folder, "b")
        subprocess.run(["gcc", "-c", "-nostdinc", "-Wa,--divide", *defines,
                        str(SOURCES / f"{name}.S"), "-o", obj],
                       check=True, capture_output=True, text=True)
        subprocess.run(["ld", "-Ttext", hex(load), "-e", hex(load), "--oformat", "binary",
                        "--no-warn-rwx-segments", obj, "-o", binary],
                       check=True, capture_output=True, text=True)
        return binary.read_bytes()


class Recorder:
    """A device that notes what it gets and reads from a script (then zeros)."""

    def __init__(self, *answers: int) -> None:
        self.writes: list[tuple[int, int, int]] = []
        self.reads: list[tuple[int, int]] = []
        self.answers = list(answers)

    def read(self, offset: int, width: int) -> int:
        self.reads.append((offset, width))
        return self.answers.pop(0) if self.answers else 0

    def write(self, offset: int, width: int, value: int) -> None:
        self.writes.append((offset, width, value))


class Doorbell:
    """Calls back on each write."""

    def __init__(self, callback) -> None:
        self.callback = callback

    def read(self, offset: int, width: int) -> int:
        return 0

    def write(self, offset: int, width: int, value: int) -> None:
        self.callback(value)


class PayloadVm:
    """One vCPU, 2 MiB of RAM, two buses; chips: in-kernel interrupt chips and PIT."""

    def __init__(self, code: bytes, chips: bool = False) -> None:
        self.kvm = Kvm()
        self.vm: Vm = self.kvm.create_vm()
        self.vm.set_tss_addr(0xFFFBD000)
        if chips:
            self.vm.create_irqchip()
            self.vm.create_pit2()
        self.memory = GuestMemory([(0, RAM)])
        self.vm.set_memory(0, 0, RAM, self.memory.hva(0))
        self.memory.write(LOAD, code)
        self.pio = Bus("ports", 16)
        self.mmio = Bus("memory", 52, self.pio.lock)
        self.vcpu = self.vm.create_vcpu(0)
        self.vcpu.set_cpuid(cpuid.for_vcpu(self.kvm.supported_cpuid(), cpu=0, cpus=1,
                                           tsc_deadline=False))
        self.thread = VcpuThread(self.vcpu, self.pio, self.mmio)

    def real_mode(self) -> PayloadVm:
        """Start at 0:LOAD."""
        self.vcpu.set_sregs({"cs": {"base": 0, "selector": 0}})
        self.vcpu.set_regs({"rip": LOAD, "rsp": 0x8000, "rflags": 2})
        return self

    def protected_mode(self) -> PayloadVm:
        """Start at LOAD with flat 32-bit segments and no paging."""
        flat = {"base": 0, "limit": 0xFFFFFFFF, "present": 1, "dpl": 0, "s": 1, "g": 1,
                "db": 1, "l": 0}
        data = {**flat, "selector": 0x10, "type": 3}
        segments = {name: data for name in ("ds", "es", "fs", "gs", "ss")}
        self.vcpu.set_sregs({"cs": {**flat, "selector": 8, "type": 0xB}, **segments,
                             "cr0": 0x11})
        self.vcpu.set_regs({"rip": LOAD, "rsp": 0x8000, "rflags": 2})
        return self

    def long_mode(self) -> PayloadVm:
        """Start at LOAD in 64-bit mode, the first 4 GiB mapped one to one."""
        state = entry.EntryState(rip=LOAD, rsi=0, rsp=0x8000, cr3=0x10000)
        self.memory.write(0x10000, entry.page_tables(0x10000))
        self.memory.write(state.gdt_base, entry.gdt())
        self.vcpu.set_sregs(state.sregs)
        self.vcpu.set_regs(state.regs)
        return self

    def run(self) -> VcpuThread:
        """Run until the vCPU ends; a guest that hangs fails the test."""
        self.thread.start()
        if not self.thread.join(PATIENCE):
            self.thread.stop()
            self.thread.join()
            pytest.fail(f"payload still runs after {PATIENCE} s at "
                        f"rip {self.thread.regs.get('rip', 0):#x}")
        if self.thread.error is not None:
            raise self.thread.error
        return self.thread

    def close(self) -> None:
        self.thread.stop()
        self.vcpu.close()
        self.vm.close()
        self.kvm.close()
