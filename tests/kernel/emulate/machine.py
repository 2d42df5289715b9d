# SPDX-License-Identifier: GPL-2.0-only
"""The emulator of kernel/x86 in the small machine of tests/kernel/glue/emulate.c."""

import ctypes
from dataclasses import dataclass

from kernel.decode.decoder import MODE_16, MODE_32, MODE_64

OK, FAULT, IO_NEEDED, RETRY, UNHANDLED = range(5)
ABSENT, READ_ONLY, SUPERVISOR = 1, 2, 4
KERNEL_READ, KERNEL_WRITE, PORT_READ, PORT_WRITE = range(4)
DE, DB, BP, OF, UD, NM, NP, SS, GP, PF, MF = 0, 1, 3, 4, 6, 7, 11, 12, 13, 14, 16
SHADOW_MOV_SS, SHADOW_STI = 1, 2

RAM_BYTES = 4 << 20
KERNEL_DEVICE = 0x1000000
USER_DEVICE = 0x1100000

RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI = range(8)
ES, CS, SEG_SS, DS, FS, GS, LDTR, TR = range(8)

CF, PF_FLAG, AF, ZF, SF, TF, IF, DF, OF_FLAG = (1, 4, 0x10, 0x40, 0x80, 0x100, 0x200, 0x400,
                                                0x800)
ARITH = CF | PF_FLAG | AF | ZF | SF | OF_FLAG
VM = 0x20000
CR0_PE, CR4_OSFXSR, EFER_LMA = 1, 0x200, 0x400


class Segment(ctypes.Structure):
    """struct kvm_segment."""

    _fields_ = [("base", ctypes.c_uint64), ("limit", ctypes.c_uint32),
                ("selector", ctypes.c_uint16), ("type", ctypes.c_uint8),
                ("present", ctypes.c_uint8), ("dpl", ctypes.c_uint8), ("db", ctypes.c_uint8),
                ("s", ctypes.c_uint8), ("l", ctypes.c_uint8), ("g", ctypes.c_uint8),
                ("avl", ctypes.c_uint8), ("unusable", ctypes.c_uint8),
                ("padding", ctypes.c_uint8)]


class Table(ctypes.Structure):
    """struct kvm_dtable."""

    _fields_ = [("base", ctypes.c_uint64), ("limit", ctypes.c_uint16),
                ("padding", ctypes.c_uint16 * 3)]


class LogEntry(ctypes.Structure):
    """One access that an in-kernel device saw."""

    _fields_ = [("kind", ctypes.c_uint64), ("address", ctypes.c_uint64),
                ("len", ctypes.c_uint64), ("data", ctypes.c_uint64)]


@dataclass(frozen=True)
class Result:
    """What came of a run."""

    code: int
    rip: int
    rflags: int
    progress: int
    rep_pending: int
    shadow: int
    vector: int
    has_error_code: int
    error_code: int
    cr2: int


class Machine:
    """One CPU with 4 MiB of memory at 0, flat segments, CPL 0; MODE_16 is real mode."""

    def __init__(self, logic: ctypes.CDLL, mode: int) -> None:
        self.logic = logic
        self.mode = mode
        logic.glue_machine_new.restype = ctypes.c_void_p
        self.handle = ctypes.c_void_p(logic.glue_machine_new())
        self.ram = self._array("ram", ctypes.c_uint8, RAM_BYTES)
        self.pio = self._array("pio", ctypes.c_uint8, 4096)
        self.gpr = self._array("gpr", ctypes.c_uint64, 16)
        self.cr = self._array("cr", ctypes.c_uint64, 16)
        self.dr = self._array("dr", ctypes.c_uint64, 8)
        self.xmm = self._array("xmm", ctypes.c_uint8, 256)
        self.mm = self._array("mm", ctypes.c_uint64, 8)
        self.rip = 0x9000
        self.rflags = 2
        self.cpl = 0
        self.efer = EFER_LMA if mode == MODE_64 else 0
        self.cr[0] = 0 if mode == MODE_16 else CR0_PE
        self.cr[4] = CR4_OSFXSR
        for number in range(6):
            self._init_segment(number)

    def __del__(self) -> None:
        self.logic.glue_machine_free(self.handle)

    def _array(self, what: str, kind: type, length: int) -> ctypes.Array:
        function = self.logic["glue_machine_" + what]
        function.restype = ctypes.c_void_p
        return (kind * length).from_address(function(self.handle))

    def _init_segment(self, number: int) -> None:
        segment = self.segment(number)
        segment.limit = 0xffff if self.mode == MODE_16 else 0xffffffff
        segment.type = 0xb if number == CS and self.mode != MODE_16 else 0x3
        segment.present = segment.s = 1
        segment.db = self.mode == MODE_32 or (self.mode == MODE_64 and number != CS)
        segment.l = self.mode == MODE_64 and number == CS

    def segment(self, number: int) -> Segment:
        """The live segment register."""
        function = self.logic.glue_machine_seg
        function.restype = ctypes.c_void_p
        return Segment.from_address(function(self.handle, number))

    def table(self, idt: bool) -> Table:
        """The live GDTR or IDTR."""
        function = self.logic.glue_machine_table
        function.restype = ctypes.c_void_p
        return Table.from_address(function(self.handle, int(idt)))

    def page(self, linear: int, flags: int = 0, gpa: int | None = None) -> None:
        """Set what the page tables say about one linear page."""
        target = linear if gpa is None else gpa
        self.logic.glue_machine_page(self.handle, linear >> 12, flags, target >> 12)

    def read_only(self, gpa: int) -> None:
        """A page of memory that writes do not reach (0: none)."""
        self.logic.glue_machine_read_only(self.handle, gpa)

    def interfere(self, times: int) -> None:
        """Another processor changes the operand before that many exchanges."""
        self.logic.glue_machine_interfere(self.handle, times)

    def x87_pending(self, pending: bool) -> None:
        """An unmasked x87 exception waits for the next instruction."""
        self.logic.glue_machine_x87_pending(self.handle, int(pending))

    def peek(self, address: int, length: int) -> bytes:
        return ctypes.string_at(ctypes.addressof(self.ram) + address, length)

    def poke(self, address: int, data: bytes) -> None:
        ctypes.memmove(ctypes.addressof(self.ram) + address, data, len(data))

    # -- running ---------------------------------------------------------------

    def decode(self, code: bytes) -> int:
        """A new instruction."""
        return self.logic.glue_machine_decode(self.handle, code, len(code), self.mode)

    def exit_at(self, gpa: int, write: bool) -> None:
        """The decoded instruction exited, for its access to gpa."""
        self.logic.glue_machine_exit_at(self.handle, ctypes.c_uint64(gpa), int(write))

    def walks(self) -> int:
        """Translations that the emulator asked for so far."""
        return self.logic.glue_machine_walks(self.handle)

    def run(self) -> Result:
        """Run the decoded instruction, from the registers as they are; take its result over."""
        before = list(self.gpr)
        self.logic.glue_machine_set_state(self.handle, ctypes.c_uint64(self.rip),
                                          ctypes.c_uint64(self.rflags),
                                          ctypes.c_uint64(self.efer), self.cpl)
        code = self.logic.glue_machine_run(self.handle)
        out = (ctypes.c_uint64 * 9)()
        self.logic.glue_machine_result(self.handle, out)
        result = Result(code, *out)
        if code == OK or result.progress:
            self.rip, self.rflags = result.rip, result.rflags
        else:
            self.gpr[:] = before
        return result

    def step(self, code: bytes) -> Result:
        """Decode and run once."""
        length = self.decode(code)
        assert length > 0, f"{code.hex()}: {length}"
        return self.run()

    # -- devices -----------------------------------------------------------------

    def waiting(self) -> tuple[int, int] | None:
        """(gpa, length) of the read that user space has to answer."""
        out = (ctypes.c_uint64 * 2)()
        return tuple(out) if self.logic.glue_machine_waiting(self.handle, out) else None

    def answer(self, data: bytes) -> None:
        self.logic.glue_machine_answer(self.handle, data.ljust(8, b"\0"))

    def posted(self) -> list[tuple[int, bytes]]:
        """(gpa, data) of all writes that user space has to carry out."""
        out = (ctypes.c_uint64 * 3)()
        writes = []
        while self.logic.glue_machine_next_write(self.handle, out):
            writes.append((out[0], out[2].to_bytes(8, "little")[:out[1]]))
        return writes

    def port(self) -> tuple[int, int, int, int]:
        """(port, size, count, in) of the port access that waits; count 0: none."""
        out = (ctypes.c_uint64 * 4)()
        self.logic.glue_machine_port(self.handle, out)
        return tuple(out)

    def port_answered(self) -> None:
        self.logic.glue_machine_port_answered(self.handle)

    def port_done(self) -> None:
        self.logic.glue_machine_port_done(self.handle)

    def log(self) -> list[tuple[int, int, int, int]]:
        """(kind, address, length, data) of what in-kernel devices saw since the last call."""
        entries = ctypes.POINTER(LogEntry)()
        count = self.logic.glue_machine_log(self.handle, ctypes.byref(entries))
        found = [(e.kind, e.address, e.len, e.data) for e in entries[:count]]
        self.logic.glue_machine_log_clear(self.handle)
        return found

    def invalidated(self) -> int:
        """The linear address of the last INVLPG."""
        function = self.logic.glue_machine_invalidated
        function.restype = ctypes.c_uint64
        return function(self.handle)


__all__ = [name for name in dir() if name.isupper()] + ["Machine", "Result", "Segment", "Table"]
__all__ += ["MODE_16", "MODE_32", "MODE_64"]
