# SPDX-License-Identifier: GPL-2.0-only
"""The decoder of kernel/x86/decode.c as Python sees it."""

import ctypes
import random
from collections.abc import Iterator
from dataclasses import dataclass

MODE_16, MODE_32, MODE_64 = range(3)
MODES = (MODE_16, MODE_32, MODE_64)
TRUNCATED, INVALID, TOO_LONG = -1, -2, -3
MAP_1BYTE, MAP_0F, MAP_0F38, MAP_0F3A, MAP_3DNOW, MAP_VECTOR = range(6)
NO_REG = 0xff


@dataclass(frozen=True)
class Insn:
    """struct x86_insn; sizes in bytes, registers in encoding order, -1 for absent fields."""

    length: int
    map: int
    opcode: int
    op_size: int
    addr_size: int
    rep: int
    lock: int
    op_prefix: int
    rex: int
    modrm: int
    mod: int
    reg: int
    rm: int
    base: int
    index: int
    scale: int
    rip_relative: int
    seg: int
    disp: int
    imm: int
    lengths: int

    @property
    def disp_len(self) -> int:
        """Bytes of displacement."""
        return self.lengths >> 16

    @property
    def imm_len(self) -> int:
        """Bytes of all immediates together."""
        return (self.lengths >> 8 & 0xff) + (self.lengths & 0xff)


def decode_length(logic: ctypes.CDLL, code: bytes, mode: int) -> int:
    """The length, or one of the negative reasons."""
    return logic.glue_decode(code, len(code), mode, (ctypes.c_int64 * 20)())


def decode(logic: ctypes.CDLL, code: bytes, mode: int) -> Insn:
    """Everything about one instruction; the fields mean nothing if length is negative."""
    out = (ctypes.c_int64 * 20)()
    length = logic.glue_decode(code, len(code), mode, out)
    return Insn(length, *out)


PREFIXES = bytes.fromhex("66 67 f2 f3 f0 2e 36 3e 26 64 65 40 41 44 48 4f")
ESCAPES = (b"", b"", b"", b"\x0f", b"\x0f", b"\x0f\x38", b"\x0f\x3a", b"\xc4", b"\xc5", b"\x62",
           b"\x8f")


def random_code(seed: int, count: int) -> Iterator[bytes]:
    """count strings of 15 bytes, with prefixes and escapes more frequent than chance."""
    rnd = random.Random(seed)
    for _ in range(count):
        prefixes = bytes(rnd.choices(PREFIXES, k=rnd.choice((0, 0, 0, 1, 1, 2, 3))))
        yield (prefixes + rnd.choice(ESCAPES) + rnd.randbytes(15))[:15]
