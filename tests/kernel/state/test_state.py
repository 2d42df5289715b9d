# SPDX-License-Identifier: GPL-2.0-only
"""What KVM keeps of a vCPU: CPUID, MSRs, clocks, registers, events and FPU, in L1."""

import re
from pathlib import Path

import pytest

from lib import programs

pytestmark = pytest.mark.module

HERE = Path(__file__).parent
SOURCES = ["machine.c", "cpuid_checks.c", "msr_checks.c", "time_checks.c", "regs_checks.c",
           "abi_checks.c"]
NAMES = {match.group(2): match.group(1) for source in SOURCES[1:]
         for match in re.finditer(r'^\t(COMMON|OURS)\("([^"]+)"', (HERE / source).read_text(),
                                  re.MULTILINE)}


@pytest.fixture
def program(labs) -> Path:
    """Path, on the host and in L1, of the program with all checks."""
    return programs.build(labs.scratch / "state", *(HERE / name for name in SOURCES))


def verdicts(shared, *command) -> dict[str, str]:
    """The reason of each check that ran, empty where it passed."""
    result = shared.run([str(part) for part in command], timeout=120)
    out = result.stdout.decode()
    found = {}
    for line in out.splitlines():
        match = re.fullmatch(r"(ok|not ok) (\w+: [^:]+)(?:: (.*))?", line)
        assert match, f"{line!r} in\n{out}{result.stderr.decode()}"
        found[match.group(2)] = match.group(3) or ""
    assert result.status == (1 if any(found.values()) else 0), out + result.stderr.decode()
    return found


def test_vcpu_state_on_the_tree_s_half(l1_tree, program):
    found = verdicts(l1_tree, program)
    assert set(found) == set(NAMES)
    assert not {name: why for name, why in found.items() if why}


@pytest.mark.full
def test_vcpu_state_on_the_stock_half(l1_stock, program):
    """The checks themselves: what is not said to be ours holds on stock KVM, too."""
    found = verdicts(l1_stock, program, "-s")
    assert set(found) == {name for name, kind in NAMES.items() if kind == "COMMON"}
    assert not {name: why for name, why in found.items() if why}
