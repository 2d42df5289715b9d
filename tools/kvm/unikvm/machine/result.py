# SPDX-License-Identifier: GPL-2.0-only
"""How a machine ended, and the report for one that died."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

STATUS_DIED = 255
# Ends that are no failure of the guest or of ours.
GOOD_ENDS = ("shutdown", "reset", "stopped")

_GENERAL = ("rax rbx rcx rdx rsi rdi rsp rbp r8 r9 r10 r11 r12 r13 r14 r15 "
            "rip rflags").split()
_SEGMENTS = "cs ss ds es fs gs tr ldt".split()


@dataclass(frozen=True)
class Result:
    """reason: "shutdown", "reset", "stopped", "timeout", or what went wrong.

    The vCPU's registers and instruction bytes are there if a vCPU was to blame.
    exits: exits to the VMM by kind, all vCPUs; hits: accesses by device;
    python_calls: how many of them took the interpreter lock.
    """

    reason: str
    detail: str = ""
    cpu: int | None = None
    regs: dict[str, int] = field(default_factory=dict)
    sregs: dict[str, Any] = field(default_factory=dict)
    code: bytes = b""
    exits: dict[str, int] = field(default_factory=dict)
    hits: dict[str, int] = field(default_factory=dict)
    python_calls: int = 0
    seconds: float = 0.0
    error: BaseException | None = None

    @property
    def died(self) -> bool:
        """True if the guest did not end by its own or its user's will."""
        return self.reason not in GOOD_ENDS

    @property
    def status(self) -> int:
        """The exit status this end means: 0, or 255 for a guest that died."""
        return STATUS_DIED if self.died else 0


def report(result: Result) -> str:
    """Why the guest died, with registers and instruction bytes; several lines."""
    who = "" if result.cpu is None else f" on vCPU {result.cpu}"
    lines = [f"guest died: {result.reason}{who}"
             + (f": {result.detail}" if result.detail else "")]
    if result.reason == "triple fault" and lost_registers(result.regs, result.sregs):
        lines.append("this KVM resets a vCPU at a triple fault: the registers are those of "
                     "a reset, not of the fault")
    lines += _registers(result.regs)
    lines += _specials(result.sregs)
    if result.regs:
        lines.append("code " + (result.code.hex(" ") or "not mapped"))
    return "\n".join(lines)


def lost_registers(regs: dict[str, int], sregs: dict[str, Any]) -> bool:
    """Whether a vCPU is at the reset vector.

    Stock kvm-amd puts it there before it reports a triple fault, for the VMCB
    is undefined after a SHUTDOWN intercept (APM vol. 2, 15.14.3).
    """
    return bool(sregs) and regs["rip"] == 0xFFF0 and sregs["cs"]["base"] == 0xFFFF0000


def _registers(regs: dict[str, int]) -> list[str]:
    cells = [f"{name:>6} {regs[name]:016x}" for name in _GENERAL if name in regs]
    return [" ".join(cells[i:i + 4]) for i in range(0, len(cells), 4)]


def _specials(sregs: dict[str, Any]) -> list[str]:
    if not sregs:
        return []
    lines = [" ".join(f"{name} {sregs[name]:x}" for name in
                      ("cr0", "cr2", "cr3", "cr4", "cr8", "efer", "apic_base"))]
    for name in _SEGMENTS:
        s = sregs[name]
        lines.append(f"{name:>4} {s['selector']:04x} base {s['base']:016x} "
                     f"limit {s['limit']:08x} type {s['type']:x} s {s['s']} "
                     f"dpl {s['dpl']} p {s['present']} l {s['l']} db {s['db']}")
    lines += [f"{name:>4} base {sregs[name]['base']:016x} limit {sregs[name]['limit']:04x}"
              for name in ("gdt", "idt")]
    return lines
