# SPDX-License-Identifier: GPL-2.0-only
"""The emulator in a vCPU: what user space sees of short pieces of guest code, in L1.

l1/exits.c speaks the KVM ABI alone and prints every exit, then the registers that changed. The
traces below follow from the manuals and the ABI; in the full tier stock KVM must agree with all
but those marked OURS.
"""

import re
from pathlib import Path

import pytest

from lib import programs

pytestmark = pytest.mark.module

OURS = "ours"

# name: (mode, code, set-up, trace, ours?)
CASES = {
    "mmio read": ("64", "8b03f4", "rbx=10000000 rax=ffffffffffffffff",
                  "mmio r 10000000 4 | hlt | rax=4030201 rip=1003"),
    "mmio write": ("64", "488903f4", "rbx=10000004 rax=1122334455667788",
                   "mmio w 10000004 8 8877665544332211 | hlt | rip=1004"),
    "read-modify-write": ("64", "830310f4", "rbx=10000000",
                          "mmio r 10000000 4 | mmio w 10000000 4 11020304 | hlt | "
                          "rip=1004 rflags=6"),
    "locked xadd": ("64", "f00fc103f4", "rbx=10000000 rax=5",
                    "mmio r 10000000 4 | mmio w 10000000 4 06020304 | hlt | "
                    "rax=4030201 rip=1005 rflags=6"),
    "16 bytes": ("64", "f30f6f03f30f7f4310f4", "rbx=10000000",
                 "mmio r 10000000 8 | mmio r 10000008 8 | mmio w 10000010 8 0102030405060708 | "
                 "mmio w 10000018 8 090a0b0c0d0e0f10 | hlt | rip=100a"),
    "mmx": ("64", "0f6f0b0f7f0f0f6f160f7f5308f4", "rbx=10000000 rdi=7000 rsi=8001",
            "mmio r 10000000 8 | mmio w 10000008 8 070e151c232a3138 | hlt | rip=100e 7000=01 "
            "7001=02 7002=03 7003=04 7004=05 7005=06 7006=07 7007=08"),
    "far jump, no such selector": ("64", "48ff2bf4", "rbx=10000000 rsp=9000",
                                   "mmio r 10000000 8 | mmio r 10000008 2 | hlt | "
                                   "rsp=8fd0 rip=50d1"),
    "page crossing": ("64", "488b03488903f4", "rbx=10000ffc",
                      "mmio r 10000ffc 4 | mmio r 10001000 4 | mmio w 10000ffc 4 01020304 | "
                      "mmio w 10001000 4 05060708 | hlt | rax=807060504030201 rip=1007"),
    "memory, then device": ("64", "488b03488903f4", "rbx=1ffffc",
                            "mmio r 200000 4 | mmio w 200000 4 01020304 | hlt | "
                            "rax=403020100000000 rip=1007"),
    "five levels": ("64", "8b03f4", "levels=5 rbx=1000010000000",
                    "mmio r 10000000 4 | hlt | rax=4030201 rip=1003"),
    "five levels, no address": ("64", "8b03f4", "rbx=1000010000000 rsp=9000",
                                "hlt | rsp=8fd0 rip=50d1"),
    # The processor's walk sets the bits, ours need not be made: RCX is the entry afterwards.
    "read marks accessed": ("64", "8b03488b0c2500240100f4", "rbx=10000000",
                            "mmio r 10000000 4 | hlt | rax=4030201 rcx=100000a7 rip=100b"),
    "write marks dirty": ("64", "488903488b0c2500240100f4", "rbx=10000000",
                          "mmio w 10000000 8 0000000000000000 | hlt | rcx=100000e7 rip=100c"),
    "push from a device": ("64", "ff33f4", "rbx=10000000 rsp=7010",
                           "mmio r 10000000 8 | hlt | rsp=7008 rip=1003 7008=01 7009=02 700a=03 "
                           "700b=04 700c=05 700d=06 700e=07 700f=08"),
    "movs from a device": ("64", "f3a4f4", "rsi=10000000 rdi=7000 rcx=3",
                           "mmio r 10000000 1 | mmio r 10000001 1 | mmio r 10000002 1 | hlt | "
                           "rcx=0 rsi=10000003 rdi=7003 rip=1003 7000=01 7001=02 7002=03"),
    "movs to a device": ("64", "f366a5f4", "rsi=8000 rdi=10000000 rcx=3",
                         "mmio w 10000000 2 0007 | mmio w 10000002 2 0e15 | "
                         "mmio w 10000004 2 1c23 | hlt | rcx=0 rsi=8006 rdi=10000006 rip=1004"),
    "stos": ("64", "f3abf4", "rdi=10000000 rcx=2 rax=12345678",
             "mmio w 10000000 4 78563412 | mmio w 10000004 4 78563412 | hlt | "
             "rcx=0 rdi=10000008 rip=1003"),
    "cmps stops": ("64", "f3a6f4", "rsi=10000000 rdi=8000 rcx=4",
                   "mmio r 10000000 1 | hlt | rcx=3 rsi=10000001 rdi=8001 rip=1003"),
    "far bit": ("64", "480fab0bf4", "rbx=10000000 rcx=47",
                "mmio r 10000008 8 | mmio w 10000008 8 8102030405060708 | hlt | rip=1005"),
    "cmpxchg16b": ("64", "f0480fc70bf4", "rbx=10000000 rcx=3",
                   "mmio r 10000000 8 | mmio r 10000008 8 | mmio w 10000000 8 0102030405060708 | "
                   "mmio w 10000008 8 090a0b0c0d0e0f10 | hlt | "
                   "rax=807060504030201 rdx=100f0e0d0c0b0a09 rip=1006", OURS),
    "read-only slot": ("64", "8b03830301f4", "rbx=c0000",
                       "mmio w c0000 4 01070e15 | hlt | rax=150e0700 rip=1006"),
    "sgdt": ("64", "0f0103f4", "rbx=10000000",
             "mmio w 10000000 8 1700003000000000 | mmio w 10000008 2 0000 | hlt | rip=1004", OURS),
    "stack in a device": ("64", "5058f4", "rsp=10000010 rax=77",
                          "mmio w 10000008 8 7700000000000000 | mmio r 10000008 8 | hlt | "
                          "rax=807060504030201 rip=1003"),
    # stock 6.1 gives no answer: it loops (as with SGDT above)
    "x87": ("64", "d903f4", "rbx=10000000", "error 1 d903f400 |", OURS),
    "real mode": ("16", "b800a08ed8a10000a20200f4", "",
                  "mmio r a0000 2 | mmio w a0002 1 01 | hlt | rax=201 rip=100c"),
    "code across pages": ("64", "488b1c2500000010f4", "at=1ffd",
                          "mmio r 10000000 8 | hlt | rbx=807060504030201 rip=2006"),
    "in": ("64", "e570ecf4", "rdx=3f8 rax=1111111111111111",
           "io in 70 4*1 | io in 3f8 1*1 | hlt | rax=4030205 rip=1004"),
    "out": ("64", "e680eff4", "rdx=3f8 rax=1122334455667788",
            "io out 80 1*1 88 | io out 3f8 4*1 88776655 | hlt | rip=1004"),
    "outs": ("64", "f36ff4", "rdx=3f8 rsi=8000 rcx=3",
             "io out 3f8 4*1 00070e15 | io out 3f8 4*1 1c232a31 | "
             "io out 3f8 4*1 383f464d | hlt | rcx=0 rsi=800c rip=1003"),
    "outs from a device": ("64", "f36ff4", "rdx=3f8 rsi=10000000 rcx=3",
                           "mmio r 10000000 4 | io out 3f8 4*1 01020304 | mmio r 10000004 4 | "
                           "io out 3f8 4*1 05060708 | mmio r 10000008 4 | "
                           "io out 3f8 4*1 090a0b0c | hlt | rcx=0 rsi=1000000c rip=1003"),
    "outs across pages": ("64", "f36ef4", "rdx=3f8 rsi=8ffe rcx=4",
                          "io out 3f8 1*1 f2 | io out 3f8 1*1 f9 | io out 3f8 1*1 00 | "
                          "io out 3f8 1*1 00 | hlt | "
                          "rcx=0 rsi=9002 rip=1003"),
    "ins": ("64", "f36df4", "rdx=3f8 rdi=7000 rcx=2",
            "io in 3f8 4*2 | hlt | rcx=0 rdi=7008 rip=1003 7000=01 7001=02 7002=03 7003=04 "
            "7004=05 7005=06 7006=07 7007=08"),
    "ins backwards": ("64", "fdf36cf4", "rdx=3f8 rdi=7002 rcx=3",
                      "io in 3f8 1*1 | io in 3f8 1*1 | io in 3f8 1*1 | hlt | "
                      "rcx=0 rdi=6fff rip=1004 rflags=402 7000=03 7001=02 7002=01"),
    "ins to a device": ("64", "6df4", "rdx=3f8 rdi=10000000",
                        "io in 3f8 4*1 | mmio w 10000000 4 01020304 | hlt | "
                        "rdi=10000004 rip=1002"),
    "outs 16": ("16", "f36ef4", "rdx=3f8 rsi=8000 rcx=2",
                "io out 3f8 1*1 00 | io out 3f8 1*1 07 | hlt | rcx=0 rsi=8002 rip=1003"),
    # exceptions end at 5000 + 16 * vector, past its HLT
    "ins fault": ("64", "f36cf4", "rdx=3f8 rdi=600000 rcx=3 rsp=9000",
                  "hlt | rsp=8fd0 rip=50e1", OURS),      # stock reads the port, then faults
    "fault behind a page": ("64", "8b03f4", "rbx=5ffffe rsp=9000", "hlt | rsp=8fd0 rip=50e1"),
    # stock leaves it to the processor, and QEMU's knows no DR7.GD
    "general detect": ("64", "0f23f80f23f3f4", "rax=2400 rsp=9000",
                       "hlt | rsp=8fd8 rip=5011 dr6=ffff2ff0", OURS),
    "trap flag, cpuid": ("64", "0fa29090f4", "rflags=102 rsp=9000 rax=40000000",
                         "hlt | rax=40000001 rbx=4b4d564b rcx=564b4d56 rdx=4d rsp=8fd8 "
                         "rip=5011 rflags=2 dr6=ffff4ff0"),
    "trap flag, cpuid 16": ("16", "0fa29090f4", "rflags=102 rsp=7010 rax=40000000",
                            "hlt | rax=40000001 rbx=4b4d564b rcx=564b4d56 rdx=4d rsp=700a "
                            "rip=5011 rflags=2 dr6=ffff4ff0 700a=02 700b=10 700e=02 700f=01"),
    "trap flag, out": ("64", "e68090f4", "rflags=102 rsp=9000",
                       "io out 80 1*1 00 | hlt | rsp=8fd8 rip=5011 rflags=2 dr6=ffff4ff0"),
    "trap flag, mmio": ("64", "890390f4", "rflags=102 rbx=10000000 rsp=9000",
                        "mmio w 10000000 4 00000000 | hlt | "
                        "rsp=8fd8 rip=5011 rflags=2 dr6=ffff4ff0"),
    "debugger": ("64", "0fa290e680890790f4", "step=1 rdi=10000000 rax=40000000",
                 "debug 1002 | debug 1003 | io out 80 1*1 01 | debug 1005 | "
                 "mmio w 10000000 4 01000040 | debug 1007 | debug 1008 | hlt | "
                 "rax=40000001 rbx=4b4d564b rcx=564b4d56 rdx=4d rip=1009", OURS),  # loses steps
    "control registers": ("64", "0f20c04889c30f22c00f20e00f22e00f06f4", "",
                          "hlt | rax=620 rbx=80000033 rip=1012"),
    "lmsw": ("32", "b9080000000f01f10f01e3f4", "", "hlt | rbx=39 rcx=8 rip=100c"),
    "debug registers": ("64", "0f23c00f21c1f4", "rax=1234", "hlt | rcx=1234 rip=1007 dr0=1234"),
    "wbinvd, invd": ("64", "0f090f08f4", "", "hlt | rip=1005"),
    "cpuid across pages": ("64", "0fa2f4", "at=1fff rax=40000000",
                           "hlt | rax=40000001 rbx=4b4d564b rcx=564b4d56 rdx=4d rip=2002"),
    "cpuid 32": ("32", "0fa2f4", "rax=40000000",
                 "hlt | rax=40000001 rbx=4b4d564b rcx=564b4d56 rdx=4d rip=1003"),
    # Jump to a second view of the code, take the page away, and run on by what the TLB still has:
    # the fetch for decoding faults, and the instruction must not have done anything yet.
    "no code, cpuid": ("64", "ffe0c704254020010000000000" "0fa2f4", "rax=1001002 rsp=9000",
                       "hlt | rsp=8fd0 rip=50e1", OURS),
    "no code, rdmsr": ("64", "ffe0c704254020010000000000" "0f32f4", "rax=1001002 rcx=8b rsp=9000",
                       "hlt | rsp=8fd0 rip=50e1", OURS),
    "no code, vmmcall": ("64", "ffe0c704254020010000000000" "0f01d9f4", "rax=1001002 rsp=9000",
                         "hlt | rsp=8fd0 rip=50e1", OURS),
    # (One that is hit cannot be tried here: the lab's processor sets none up at VMRUN.)
    "breakpoint elsewhere, trap flag": ("64", "9090f4", "bp=1800 rflags=102 rsp=9000",
                                        "hlt | rsp=8fd8 rip=5011 rflags=2 dr6=ffff4ff0", OURS),
    "step with a segment base": ("32", "0fa290f4", "step=1 csbase=800 rax=40000000",
                                 "debug 1002 | debug 1003 | hlt | rax=40000001 rbx=4b4d564b "
                                 "rcx=564b4d56 rdx=4d rip=804"),
    # RIP on the stack (7008) is behind the instruction, and nothing comes twice or never. The
    # stack's page is not mapped yet: the first delivery always exits.
    "int3": ("64", "ccf4", "rsp=7030", "hlt | rsp=7008 rip=5031 7008=01 7009=10"),
    "int": ("64", "cd20f4", "rsp=7030", "hlt | rsp=7008 rip=5201 7008=02 7009=10"),
    "int3 handed in": ("64", "ccf4", "event=3 rsp=7030",
                       "hlt | rsp=7008 rip=5031 7008=01 7009=10"),
    "int 3 handed in": ("64", "cd03f4", "event=3 rsp=7030",
                        "hlt | rsp=7008 rip=5031 7008=02 7009=10"),
    "#BP out of nothing": ("64", "90f4", "event=3 rsp=7030",
                           "hlt | rsp=7008 rip=5031 7009=10", OURS),   # stock skips the NOP
    "#OF out of nothing": ("64", "90f4", "event=4 rsp=7030",
                           "hlt | rsp=7008 rip=5041 7009=10", OURS),
    "#BP, real mode": ("16", "ccf4", "event=3 rsp=7010",
                       "hlt | rsp=700a rip=5031 700a=01 700b=10 700e=02"),
    "nmi after a shadow": ("64", "e68090f4", "nmi=1 rsp=9000",
                           "io out 80 1*1 00 | hlt | rsp=8fd8 rip=5021", OURS),
    "msr for user space": ("64", "0f32f4", "msrs=1 rcx=12345 rax=7", "msr 12345 | hlt | "
                           "rax=0 rip=1003"),
    "moved at rdmsr": ("64", "0f32f490909090f4", "msrs=1 moverip=1006 rcx=12345 rax=5",
                       "msr 12345 | hlt | rip=1008", OURS),
    # user space moves RIP at the exit (a reset): nothing of the old instruction is left
    "moved at out": ("64", "e680f490909090f4", "moverip=1006",
                     "io out 80 1*1 00 | hlt | rip=1008"),
    "moved at in": ("64", "e480f490909090f4", "moverip=1006 rax=5",
                    "io in 80 1*1 | hlt | rip=1008"),
    "moved at mmio": ("64", "8b03f490909090f4", "moverip=1006 rbx=10000000 rax=5",
                      "mmio r 10000000 4 | hlt | rip=1008", OURS),
}


FEP = "0f0b6b766d"        # UD2, "kvm"

# The same of code that has the prefix, with the parameter on.
FORCED = {
    "mov": ("64", FEP + "48b8" + "90" * 8 + "f4", "rsp=9000",
            "hlt | rax=9090909090909090 rip=1010"),
    "mmio": ("64", FEP + "8b03f4", "rbx=10000000", "mmio r 10000000 4 | hlt | rax=4030201 rip=1008"),
    "far jump": ("64", FEP + "48ff2b" + "f4" * 8 + "1a10000000000000" "0800" "f4", "rbx=1010",
                 "hlt | rip=101b"),
    "rdmsr": ("64", FEP + "0f32f4", "rcx=c0000080", "hlt | rax=500 rip=1008"),
    "msr for user space": ("64", FEP + "0f32f4", "msrs=1 rcx=12345 rax=7",
                           "msr 12345 | hlt | rax=0 rip=1008"),
    "real mode": ("16", FEP + "b83412f4", "", "hlt | rax=1234 rip=1009"),
    "lea of a register": ("64", FEP + "8dc0f4", "rsp=9000", "hlt | rsp=8fd8 rip=5061"),
    "no instruction": ("64", FEP + "0f0bf4", "rsp=9000", "hlt | rsp=8fd8 rip=5061"),
    "no such form": ("64", FEP + "fed0f4", "rsp=9000", "hlt | rsp=8fd8 rip=5061"),
    "mov to cs": ("64", FEP + "8ec8f4", "rsp=9000", "hlt | rsp=8fd8 rip=5061"),
    "no wrmsr": ("64", FEP + "0f30f4", "rsp=9000 rcx=12345", "hlt | rsp=8fd0 rip=50d1"),
    # RIP on the stack is behind the prefix
    "where it faults": ("64", FEP + "8b03f4", "rbx=600000 rsp=7030",
                        "hlt | rsp=7000 rip=50e1 7008=05 7009=10"),
    "mmx after an x87 error": ("64", "dbe3d92c2500800000d9eed9eedef9" + FEP + "0f7f07f4",
                               "rdi=7000 rsp=9000", "hlt | rsp=8fd8 rip=5101"),
    "breakpoint": ("64", "0f23c00f23fb" + FEP + "90f4", "rax=100b rbx=402 rsp=9000",
                   "hlt | rsp=8fd8 rip=5011 dr0=100b dr6=ffff0ff1 dr7=402"),
    "breakpoint elsewhere": ("64", "0f23c00f23fb" + FEP + "90f4", "rax=100a rbx=402",
                             "hlt | rip=100d dr0=100a dr7=402"),
    "trap flag": ("64", FEP + "9090f4", "rflags=102 rsp=9000",
                  "hlt | rsp=8fd8 rip=5011 rflags=2 dr6=ffff4ff0"),
}


@pytest.fixture(scope="module")
def program(labs) -> Path:
    """Path, on the host and in L1, of the program."""
    return programs.build(labs.scratch / "exits", Path(__file__).parent / "l1" / "exits.c")


def traces(l1, program: Path, of: dict[str, tuple]) -> dict[str, str]:
    """Run the cases in one go."""
    text = "".join(f"{name.replace(' ', '_')} {' '.join(case[:3])}\n" for name, case in of.items())
    cases = program.with_suffix(".cases")
    cases.write_text(text)
    out = l1.check(f"timeout 150 {program} < {cases}", timeout=200)
    found = {}
    for line in out.splitlines():
        name, trace = line.split(": | ", 1)
        found[name.replace("_", " ")] = trace.replace("|  ", "| ").rstrip()
    return found


def one_by_one(trace: str) -> str:
    """Port batches as single accesses: how many elements an exit carries is free."""
    def split(match: re.Match) -> str:
        head, size, count, data = match[1], int(match[2]), int(match[3]), match[4] or ""
        step = 2 * size
        return " | ".join(f"{head} {size}*1 {data[n * step:(n + 1) * step]}".rstrip()
                          for n in range(count))
    return re.sub(r"(io \w+ \w+) (\d)\*(\d+)(?: ([0-9a-f]+))?", split, trace)


def forced(l1, program: Path) -> tuple[dict[str, str], dict[str, str]]:
    """What FORCED does with the parameter on, and off."""
    parameter = "/sys/module/kvm/parameters/force_emulation_prefix"
    l1.check(f"echo 1 > {parameter}")
    try:
        on = traces(l1, program, FORCED)
    finally:
        l1.check(f"echo 0 > {parameter}")
    return on, traces(l1, program, {"off": FORCED["mov"]})


def test_exits(l1_tree, program):
    found = traces(l1_tree, program, CASES)
    assert found == {name: case[3] for name, case in CASES.items()}


def test_forced_emulation(l1_tree, program):
    on, off = forced(l1_tree, program)
    assert on == {name: case[3] for name, case in FORCED.items()}
    assert off == {"off": "hlt | rsp=8fd8 rip=5061"}


@pytest.mark.full
def test_stock_agrees(l1_stock, program):
    cases = {name: case for name, case in CASES.items() if OURS not in case}
    found = {name: one_by_one(trace) for name, trace in traces(l1_stock, program, cases).items()}
    assert found == {name: one_by_one(case[3]) for name, case in cases.items()}


@pytest.mark.full
def test_stock_forced_agrees(l1_stock, program):
    on, off = forced(l1_stock, program)
    assert on == {name: case[3] for name, case in FORCED.items()}
    assert off == {"off": "hlt | rsp=8fd8 rip=5061"}
