# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel relies on in particular: intercepted instructions, limits, ends of input."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel.decode.decoder import (INVALID, MAP_0F, MODE_16, MODE_32, MODE_64, MODES, TOO_LONG,
                                   TRUNCATED, decode, decode_length, random_code)

pytestmark = pytest.mark.unit

# Instructions that SVM intercepts and that are skipped by their length.
INTERCEPTED = {
    "cpuid": "0fa2", "rdmsr": "0f32", "wrmsr": "0f30", "hlt": "f4", "rdtsc": "0f31",
    "rdtscp": "0f01f9", "rdpmc": "0f33", "pause": "f390", "wbinvd": "0f09", "wbnoinvd": "f30f09",
    "invd": "0f08", "clts": "0f06", "vmrun": "0f01d8", "vmmcall": "0f01d9", "vmload": "0f01da",
    "vmsave": "0f01db", "stgi": "0f01dc", "clgi": "0f01dd", "skinit": "0f01de",
    "invlpga": "0f01df", "monitor": "0f01c8", "mwait": "0f01c9", "xsetbv": "0f01d1",
    "rdpru": "0f01fd", "vmcall": "0f01c1", "invlpg": "0f0138", "rsm": "0faa", "iret": "cf",
    "int 80": "cd80", "int3": "cc", "icebp": "f1", "pushf": "9c", "popf": "9d",
    "mov cr0,eax": "0f22c0", "mov eax,cr0": "0f20c0", "mov dr7,eax": "0f23f8",
    "mov eax,dr6": "0f21f0", "lmsw ax": "0f01f0", "smsw ax": "0f01e0", "sldt ax": "0f00c0",
    "str ax": "0f00c8", "lldt ax": "0f00d0", "ltr ax": "0f00d8", "swapgs": "0f01f8",
    "invpcid": "660f388208", "xrstors": "0fc718", "xsaves": "0fc728", "rdrand": "0fc7f0",
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", INTERCEPTED)
def test_intercepted(logic, mode, name):
    code = bytes.fromhex(INTERCEPTED[name])
    assert decode_length(logic, code + b"\x90" * 4, mode) == len(code)
    assert decode_length(logic, b"\x66\x2e" + code + b"\x90" * 4, mode) == len(code) + 2


@pytest.mark.parametrize("mode, code, length", [
    (MODE_16, "0f011e3412", 5), (MODE_32, "0f011d34120000", 7), (MODE_64, "0f011d34120000", 7),
    (MODE_16, "670f011d34120000", 8), (MODE_32, "670f011e3412", 6),
    (MODE_64, "440f22c0", 4), (MODE_64, "f0 0f22c0", 4), (MODE_16, "66 0f22c0", 4),
    (MODE_16, "ea 3412 7856", 5), (MODE_16, "66 ea 34120000 7856", 8),
    (MODE_32, "ea 34120000 7856", 7), (MODE_32, "66 ea 3412 7856", 6),
    (MODE_64, "48 b8 0011223344556677", 10), (MODE_64, "a1 0011223344556677", 9),
    (MODE_64, "67 a1 00112233", 6), (MODE_32, "a1 00112233", 5), (MODE_16, "a1 0011", 3),
    (MODE_64, "c8 1000 03", 4), (MODE_64, "66 68 3412", 4), (MODE_64, "68 34120000", 5),
    (MODE_64, "c5f877", 3), (MODE_64, "c4e2791800", 5), (MODE_64, "62f17c48100b", 6),
    (MODE_64, "8fe97878c0 01", 5), (MODE_64, "8fea7810c0 01020304", 9),
    (MODE_16, "8fea7810c0 01020304", 9), (MODE_64, "660f78c0 0102", 6),
    (MODE_64, "f20f78c1 0102", 6), (MODE_64, "0f0fc19e", 4), (MODE_64, "8f00", 2),
])
def test_lengths_by_hand(logic, mode, code, length):
    assert decode_length(logic, bytes.fromhex(code) + bytes(4), mode) == length


@pytest.mark.parametrize("mode, code", [
    (MODE_64, "06"), (MODE_64, "9a"), (MODE_64, "d4"), (MODE_64, "60"), (MODE_64, "ce"),
    (MODE_64, "82c001"), (MODE_32, "0f04"), (MODE_32, "0f0a"), (MODE_32, "0f3b"),
    (MODE_32, "fed0"), (MODE_32, "fff8"), (MODE_32, "8fe0"), (MODE_32, "8ef0"),
    (MODE_32, "0fba00"), (MODE_64, "48c5f877"), (MODE_64, "f3c5f877"), (MODE_64, "c4e4791800"),
])
def test_invalid(logic, mode, code):
    assert decode_length(logic, bytes.fromhex(code) + bytes(12), mode) == INVALID


def test_mov_cr_ignores_mod(logic):
    """APM vol. 3, MOV CRn: the ModRM byte always names a register, so no displacement follows."""
    insn = decode(logic, bytes.fromhex("0f2005 11223344"), MODE_32)
    assert (insn.length, insn.map, insn.mod, insn.rm) == (3, MAP_0F, 3, 5)


def test_rex_counts_only_before_opcode(logic):
    assert decode(logic, bytes.fromhex("48668900"), MODE_64).op_size == 2
    assert decode(logic, bytes.fromhex("66488900"), MODE_64).op_size == 8


@pytest.mark.parametrize("prefixes, length", [(14, 15), (15, TOO_LONG), (40, TOO_LONG)])
def test_fifteen_bytes(logic, prefixes, length):
    assert decode_length(logic, b"\x66" * prefixes + b"\x90", MODE_32) == length


def test_long_operands_past_fifteen(logic):
    code = b"\x2e" * 8 + bytes.fromhex("c784241122334455667788")
    assert decode_length(logic, code, MODE_64) == TOO_LONG
    assert decode_length(logic, code[4:], MODE_64) == 15


@pytest.mark.parametrize("mode", MODES)
def test_truncation(logic, mode):
    """A cut instruction is never mistaken for another, and no byte beyond it is looked at."""
    for code in random_code(mode + 30, 20_000):
        length = decode_length(logic, code, mode)
        if length < 0:
            continue
        assert decode_length(logic, code[:length], mode) == length
        for cut in range(length):
            assert decode_length(logic, code[:cut], mode) == TRUNCATED, code[:length].hex()


@settings(max_examples=1000, deadline=None)
@given(code=st.binary(max_size=20), mode=st.sampled_from(MODES))
def test_any_bytes(logic, code, mode):
    length = decode_length(logic, code, mode)
    assert length in (TRUNCATED, INVALID, TOO_LONG) or 1 <= length <= min(15, len(code))
