# SPDX-License-Identifier: GPL-2.0-only
"""What our half answers beside what stock 6.1 answers, fact by fact.

l1/answers.c prints some 4000 facts: CPUID and MSRs, the state of what was just created, odd
arguments, register values, exits. Each that differs is one of DIFFERENT, with the reason.
"""

import re
from pathlib import Path

import pytest

from lib import programs

pytestmark = pytest.mark.module

HERE = Path(__file__).parent / "l1"
SOURCES = ("answers.c", "answers_state.c", "answers_msr.c", "answers_args.c", "answers_run.c")
PARTS = ("state", "arg", "run", "msr")

SMM, NESTED, HYPERV, PMU = "no SMM", "no nested guests", "no Hyper-V interface", "no virtual PMU"
LENIENT = "before CPUID is set, all that the host has is taken"
STRICT = "no processor can be in this state"

# Pattern of "section: key" to the reason; the first that matches counts.
DIFFERENT = {
    # -- CPUID and MSRs
    r"state: cpuid 0000000[389ac]\.0|state: cpuid 80000009\.0": "zeroes are left out",
    r"state: cpuid 00000001\.0": "one processor; the hypervisor bit",
    r"state: cpuid 00000007\.0": "no IA32_ARCH_CAPABILITIES",
    r"state: cpuid (0000000b|8000001e)\.0": "the id of the processor that was asked",
    r"state: cpuid 0000000d\.0": "the size follows the guest's XCR0, not the host's",
    r"state: cpuid 40000001\.0": "no TLB flush, no control of polling",
    r"state: cpuid 80000001\.0|state: cpuid 8000000a\.0": NESTED,
    r"state: cpuid 8000000[235]\.0": "the host's name and caches",
    r"state: cpuid 80000008\.0": "number of cores; no bit that the processor does not show",
    r"state: emulated .*": "nothing is there by emulation only",
    r"state: feature msr .*(10a|345)( #\d)?": "the MSR is not there",
    r"state: saved msr .*": "fewer: see docs/api.md",
    r"msrs: \w+ msr (00000034|0000009e)": SMM,
    r"msrs: \w+ msr (c0000104|c0010114|c0010117)": NESTED,
    r"msrs: \w+ msr 4000000.": HYPERV,
    r"msrs: \w+ msr 4b564d05": "polling: not there",
    r"msrs: \w+ msr (00000(309|30a|30b|345|38.|390|3f[12]|600)|c001020.)": PMU,
    r"msrs: \w+ msr 000002[0-9a-f]{2}": "holes between MTRRs, CMCI: not there",
    r"msrs: \w+ msr (0000003a|0000010a|000001c[45]|00000da0|c0000080)": "what CPUID does not show",
    r"msrs: \w+ msr (00000048|c001011f|c0010130)": "the host has none, or SEV's",
    r"msrs: \w+ msr c0010140": "may be restored whatever the host has",
    r"msrs: \w+ msr 00000(000|001|017|02a|02c|079|0cd|19[89]|1d9|1d[b-e]|606|611|619|639|641)":
        "writes of constants are dropped",
    r"msrs: \w+ msr c00(100(10|20|55|58)|1011[235]|1102[01])": "writes of constants are dropped",
    r"msrs: full msr (00000011|4b564d00)|msrs: bare msr (00000011|4b564d00)":
        "nowhere at all is no address",
    r"msrs: \w+ msr 0000017[56]": "more than the 32 bits of AMD's are kept",
    r"msrs: guest msr 0000003b": "of that moment",
    r"msrs: bare msr 0000003b": LENIENT,
    r"msrs: guest msr (000000fe|00000179)": "refused for its value, not as unknown",
    r"msrs: guest msr 000001a0": "a write of 0 is taken",
    r"msrs: \w+ msr c0011029": "LFENCE waits, as the host's",
    # -- new ones
    r"state: new \w+ KVM_GET_SREGS2?\+(008|080)": "CS and SS were accessed; APM table 14-1",
    r"state: new pit\+.*": "a counter that was never programmed",
    r"state: new \w+ KVM_GET_FPU\+198|.*fpu then\+198": "MXCSR is shown",
    # -- arguments
    r"creation: create vcpu 4294967296|time: khz 2\^40": "the upper half counts",
    r"split pins .*: pit after it": "without interrupt chips it would have nobody to interrupt",
    r"irqfds, .*: irqfd gsi 4096": "there is no such GSI",
    r"line 2: .*": "the PIC's input 2 is the other PIC",
    r"lives, chips: life 9": "SEV-ES's",
    r"memory: memory space 1": SMM,
    r"messages, .*: msi nmi": "an NMI reaches a LAPIC that software has not enabled",
    # -- registers
    r"system registers .*: cr0 .*  then": "CR0 as a processor has it: ET, no others",
    r"system registers .*: efer bit .*": STRICT,
    r"system registers without CPUID: apic base .*|extended state without CPUID: xcr0 .*": LENIENT,
    r"segments: .*\+020": "the accessed bit is the guest's",
    r"segments: .*\+028": "an unusable segment has no type",
    r"debug registers: dr7 .*  then.*": "DR6 and DR7 as a processor has them",
    r"debug registers: guest debug bit \d+": "unknown flags are refused",
    r"events .*: (exception [34]|interrupt by software)  then.*": "software's are shown, too",
    r"events .*: nmi  then\+008": "a number of NMIs, not whether",
    # -- exits
    r"exits: run rep insb .*": "up to a page at once",
    r"exits: run mmio fnsave 1": "user space went on after an error",
    r"exits: run triple fault .  error": "the exit came of the delivery of an exception",
}


@pytest.fixture
def program(labs) -> Path:
    """Path, on the host and in L1, of the program that asks."""
    return programs.build(labs.scratch / "answers", *(HERE / name for name in SOURCES))


def facts(shared, program: Path, *parts: str) -> dict[str, str]:
    """"section: key" to the answer; a key that was there is followed by its number."""
    found: dict[str, str] = {}
    heading = last = ""
    for part in parts:
        for line in shared.check([str(program), part], timeout=200).splitlines():
            if line.startswith("# "):
                heading = last = line[2:]
                continue
            key, _, value = line.partition(" = ")
            if key.startswith(" "):
                key = last + key
            else:
                key = last = f"{heading}: {key}"
            same = sum(1 for n in range(9) if f"{key} #{n}" in found)
            found[key if key not in found else f"{key} #{same}"] = value
    return found


def reason(key: str) -> str | None:
    return next((why for pattern, why in DIFFERENT.items() if re.fullmatch(pattern, key)), None)


@pytest.mark.full
def test_every_difference_has_its_reason(labs, program):
    stock = facts(labs.get("stock"), program, *PARTS)
    tree = facts(labs.get("tree"), program, *PARTS)
    assert len(tree) > 3000
    differ = {key: (stock.get(key), tree.get(key)) for key in sorted(stock.keys() | tree.keys())
              if stock.get(key) != tree.get(key)}
    assert not {key: values for key, values in differ.items() if reason(key) is None}


def test_answers_of_the_tree(l1_tree, program):
    """In short: the parts that take seconds, and a few facts of each."""
    found = facts(l1_tree, program, "state", "arg", "run")
    wrong = {key: (found.get(key), value) for key, value in FEW.items()
             if found.get(key) != value}
    assert not wrong


FEW = {
    "state: new plain KVM_GET_SREGS+110": "00000000fee00900",
    "state: new chips KVM_GET_FPU+080": "000000000000037f",
    "state: saved msr 0000017b": "listed",
    "creation: split after vcpu": "EEXIST",
    "split pins 1000: split pins 1000": "0",
    "split pins 1001: split pins 1001": "EINVAL",
    "capabilities: enable cap 143 of vm, f": "0",
    "capabilities: enable cap 143 of vm, 7f": "EINVAL",
    "vcpu id limit: limit 0": "0",
    "vcpu id limit: limit 14097": "EINVAL",
    "vcpu id limit: limit 30010": "0",
    "vcpu id limit: limit 40011": "EINVAL",
    "routes, chips: routes flags": "0",
    "routes, chips: routes flags 2": "EINVAL",
    "messages, chips: msi flags 1": "0",
    "messages, chips: msi flags 2": "EINVAL",
    "odds: vapic nowhere": "EINVAL",
    "msr filters: filter empty, flags 4": "0",
    "msr filters: filter range flags 4": "EINVAL",
    "cpuid: other cpuid after run": "0",
    "hypercalls: hypercall 8": "-1000, exit 5",
}
