# SPDX-License-Identifier: GPL-2.0-only
"""One instruction in unicorn (QEMU's CPU), and random instructions for it.

Addresses: data 2000..7000, stack below 8000, code at 9000, all within 64 KiB of memory.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import unicorn
from kernel.decode.decoder import MODE_16, MODE_32, MODE_64, NO_REG, Insn, decode
from kernel.emulate import machine as m
from unicorn import x86_const

MEMORY = 0x10000
CODE = 0x9000
DATA = range(0x2000, 0x7000)
STACK = 0x7c00

NAMES_64 = ("RAX RCX RDX RBX RSP RBP RSI RDI " + " ".join(f"R{n}" for n in range(8, 16))).split()
NAMES_32 = "EAX ECX EDX EBX ESP EBP ESI EDI".split()
SEGMENTS = "ES CS SS DS FS GS".split()
UC_MODE = {MODE_16: unicorn.UC_MODE_16, MODE_32: unicorn.UC_MODE_32, MODE_64: unicorn.UC_MODE_64}
# Real mode: selectors; elsewhere all bases are 0 but those of FS and GS in 64-bit mode.
REAL_SELECTORS = {m.ES: 0x20, m.CS: 0, m.SEG_SS: 0x10, m.DS: 0x30, m.FS: 0x40, m.GS: 0x50}
BASES_64 = {m.FS: 0x100, m.GS: 0x200}


def uc_reg(name: str) -> int:
    return getattr(x86_const, "UC_X86_REG_" + name)


@dataclass
class State:
    """Everything an instruction may change."""

    gpr: list[int]
    rflags: int
    memory: bytes
    rip: int = CODE
    xmm: bytes = b""      # registers 0 to 7, or nothing where they do not matter
    vector: int | None = None


@dataclass
class Unicorn:
    """An engine that is reused for all instructions of one mode."""

    mode: int
    uc: unicorn.Uc = field(init=False)
    vector: int | None = None

    def __post_init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self.uc = unicorn.Uc(unicorn.UC_ARCH_X86, UC_MODE[self.mode])
        self.uc.mem_map(0, MEMORY)
        self.uc.hook_add(unicorn.UC_HOOK_INTR, self._interrupt)
        self.names = NAMES_64 if self.mode == MODE_64 else NAMES_32
        self.regs = [uc_reg(name) for name in self.names]
        self.uc.reg_write(uc_reg("CR4"), self.uc.reg_read(uc_reg("CR4")) | m.CR4_OSFXSR)
        self.rip = uc_reg("RIP" if self.mode == MODE_64 else "EIP")

    def _interrupt(self, uc: unicorn.Uc, number: int, _data: object) -> None:
        if self.vector is None:
            self.vector = number
        uc.emu_stop()

    def _set_segments(self) -> None:
        if self.mode == MODE_16:
            for number, selector in REAL_SELECTORS.items():
                self.uc.reg_write(uc_reg(SEGMENTS[number]), selector)
        if self.mode == MODE_64:
            for number, base in BASES_64.items():
                self.uc.reg_write(uc_reg(SEGMENTS[number] + "_BASE"), base)

    def step(self, state: State, code: bytes, count: int = 1) -> State:
        """Run one instruction, count iterations of it at most if it repeats."""
        self.vector = None
        self.uc.mem_write(0, state.memory)
        self.uc.ctl_remove_cache(0, MEMORY)
        for reg, value in zip(self.regs, state.gpr, strict=False):
            self.uc.reg_write(reg, value)
        self._set_segments()
        self.uc.reg_write(uc_reg("EFLAGS"), state.rflags)
        if state.xmm:
            self._write_xmm(state.xmm)
        try:
            self.uc.emu_start(state.rip, state.rip + len(code), count=count)
        except unicorn.UcError as error:
            if self.vector is None and error.errno != unicorn.UC_ERR_FETCH_UNMAPPED:
                self.vector = -1
        after = self._state(bool(state.xmm))
        if self.vector is not None:     # what stopped this run would stop the next one too
            self._start()
        return after

    def _write_xmm(self, data: bytes) -> None:
        for n in range(8):
            self.uc.reg_write(uc_reg(f"XMM{n}"),
                              int.from_bytes(data[16 * n:16 * n + 16], "little"))

    def _read_xmm(self) -> bytes:
        return b"".join(self.uc.reg_read(uc_reg(f"XMM{n}")).to_bytes(16, "little")
                        for n in range(8))

    def _state(self, xmm: bool) -> State:
        gpr = [self.uc.reg_read(reg) for reg in self.regs]
        gpr += [0] * (16 - len(gpr))
        return State(gpr, self.uc.reg_read(uc_reg("EFLAGS")), bytes(self.uc.mem_read(0, MEMORY)),
                     self.uc.reg_read(self.rip), self._read_xmm() if xmm else b"",
                     self.vector)


def segment_base(mode: int, seg: int) -> int:
    """Bytes, as set up in both machines."""
    if mode == MODE_16:
        return REAL_SELECTORS[seg] * 16
    return BASES_64.get(seg, 0) if mode == MODE_64 else 0


def new_machine(logic, mode: int) -> m.Machine:
    """The emulator's machine with the same segments as unicorn's."""
    machine = m.Machine(logic, mode)
    for number in range(6):
        machine.segment(number).base = segment_base(mode, number)
        if mode == MODE_16:
            machine.segment(number).selector = REAL_SELECTORS[number]
    return machine


def emulate(machine: m.Machine, state: State, code: bytes) -> tuple[State, m.Result]:
    """The same instruction by our emulator, all of its iterations."""
    machine.poke(0, state.memory)
    machine.gpr[:] = state.gpr
    machine.xmm[:] = state.xmm.ljust(256, b"\0")
    machine.rip, machine.rflags = state.rip, state.rflags
    for _ in range(100):
        result = machine.step(code)
        if not result.rep_pending:
            break
    vector = result.vector if result.code == m.FAULT else None
    return State(list(machine.gpr), machine.rflags, machine.peek(0, MEMORY), machine.rip,
                 bytes(machine.xmm)[:len(state.xmm)], vector), result


# -- random instructions -----------------------------------------------------------

@dataclass(frozen=True)
class Form:
    """One opcode to test.

    opcode: bytes, escapes included; reg: ModRM.reg, or None for any; modrm: has a ModRM byte;
    undefined: flags left undefined, or a function of (insn, state); mem, regs: may the operand
    be memory, a register; prepare: a last change to the state, or False to skip the sample.
    """

    name: str
    opcode: str
    reg: int | None = None
    modrm: bool = True
    undefined: int | Callable[[Insn, State], int] = 0
    modes: tuple[int, ...] = (MODE_16, MODE_32, MODE_64)
    mem: bool = True
    regs: bool = True
    prefixes: tuple[str, ...] = ("", "66", "67")
    prepare: Callable[[random.Random, Insn, State], bool | None] | None = None
    rex_w: bool = True
    count: int = 1


def random_modrm(rnd: random.Random, form: Form) -> bytes:
    """ModRM, SIB and 4 bytes that do for any displacement."""
    mod = 3 if not form.mem or (form.regs and rnd.random() < 0.3) else rnd.randrange(3)
    reg = rnd.randrange(8) if form.reg is None else form.reg
    modrm = mod << 6 | reg << 3 | rnd.randrange(8)
    sib = rnd.randrange(256)
    displacement = bytes((rnd.randrange(256), rnd.randrange(0x68), 0, 0))
    if mod != 3 and modrm & 7 == 4:
        return bytes((modrm, sib)) + displacement
    return bytes((modrm,)) + (b"" if mod == 3 else displacement)


def random_bytes(rnd: random.Random, form: Form, mode: int) -> bytes:
    code = bytes.fromhex(rnd.choice(form.prefixes))
    if mode == MODE_64 and rnd.random() < 0.5:
        code += bytes((0x40 | rnd.randrange(16) & (15 if form.rex_w else 7),))
    opcode = bytes.fromhex(form.opcode)
    if opcode[0] in (0xf2, 0xf3):       # a mandatory prefix goes before REX
        code, opcode = opcode[:1] + code, opcode[1:]
    code += opcode
    if form.modrm:
        code += random_modrm(rnd, form)
    return code + rnd.randbytes(12)


INTERESTING = (0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
               0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff)


def random_value(rnd: random.Random, mode: int) -> int:
    value = rnd.choice(INTERESTING) if rnd.random() < 0.3 else rnd.getrandbits(64)
    if rnd.random() < 0.2:
        value >>= rnd.randrange(64)
    return value & (2 ** 64 - 1 if mode == MODE_64 else 2 ** 32 - 1)


def random_memory(rnd: random.Random) -> bytes:
    """Mostly noise, with stretches of the values that break arithmetic."""
    special = b"".join(value.to_bytes(8, "little") for value in INTERESTING)
    block = bytearray(rnd.randbytes(0x800) + special * 8)
    return (bytes(block) * (MEMORY // len(block) + 1))[:MEMORY]


def random_state(rnd: random.Random, form: Form, insn: Insn, mode: int, code: bytes,
                 memory: bytes) -> State:
    gpr = [random_value(rnd, mode) for _ in range(16 if mode == MODE_64 else 8)]
    gpr += [0] * (16 - len(gpr))
    gpr[m.RSP] = STACK - rnd.randrange(0x40) * 8
    if insn.index != NO_REG:
        gpr[insn.index] = rnd.randrange(0x300)
    if insn.base != NO_REG:
        gpr[insn.base] = rnd.randrange(0x2000, 0x5000)
    flags = 2 | rnd.getrandbits(12) & (m.ARITH | m.DF | m.IF)
    return State(gpr, flags, memory[:CODE] + code + memory[CODE + len(code):],
                 xmm=rnd.randbytes(128) if form.name.startswith("sse") else b"")


def linear_address(insn: Insn, state: State, mode: int) -> int:
    """Of the memory operand, as the manual has it."""
    offset = insn.disp
    if insn.base != NO_REG:
        offset += state.gpr[insn.base]
    if insn.index != NO_REG:
        offset += state.gpr[insn.index] << insn.scale
    if insn.rip_relative:
        offset += state.rip + insn.length
    offset &= (1 << 8 * insn.addr_size) - 1
    return offset + segment_base(mode, insn.seg)


def sample(logic, rnd: random.Random, form: Form, mode: int,
           memory: bytes) -> tuple[bytes, Insn, State] | None:
    """One instruction and a state in which its memory operand is in reach, or None."""
    code = random_bytes(rnd, form, mode)
    insn = decode(logic, code, mode)
    if insn.length < 0:
        return None
    code = code[:insn.length]
    state = random_state(rnd, form, insn, mode, code, memory)
    for prepare in (None, form.prepare):
        if prepare and prepare(rnd, insn, state) is False:
            return None
        if insn.mod != 3 and form.modrm and linear_address(insn, state, mode) not in DATA:
            return None
    return code, insn, state
