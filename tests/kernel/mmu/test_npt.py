# SPDX-License-Identifier: GPL-2.0-only
"""Nested page tables under a guest that checks its memory while the host moves it about.

The program (scenarios.c) speaks the KVM ABI alone; that it tells right from wrong is held
against the distribution's modules in the full tier.
"""

from pathlib import Path

import pytest

from lib import programs

pytestmark = pytest.mark.module

SCENARIOS = ["plain", "errnos", "translate", "slots", "slotstress", "mirrors", "dirtylog", "swap",
             "ksm", "migrate", "huge", "thp", "dontneed", "fork", "hugetlb", "userfault", "rofile",
             "sharedfile"]
TWO_CPUS = ["plain", "slots", "mirrors", "dontneed", "fork", "swap", "thp", "slotstress",
            "dirtylog"]
PARAMETERS = "/sys/module/kvm/parameters"
BREAK_NPT_FLUSH = 1

# Swap space, and a file system with writeback, on RAM disks.
PREPARE = """
set -e
mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
grep -q /dev/ram0 /proc/swaps && exit 0
modprobe brd rd_nr=2 rd_size=65536
mkswap /dev/ram0 >/dev/null
swapon /dev/ram0
mkfs.ext4 -q /dev/ram1
mkdir -p /tmp/npt
mount /dev/ram1 /tmp/npt
"""


@pytest.fixture(scope="module")
def program(labs) -> Path:
    """Path, on the host and in L1, of the program."""
    here = Path(__file__).parent
    return programs.build(labs.scratch / "npt_guest", here / "guest.c", here / "scenarios.c",
                          here / "payload.S", flags=["-Wno-sign-compare"])


def run(l1, program: Path, *arguments: str) -> str:
    """Run the program in L1; it must succeed, skipping counts as failure here."""
    l1.check(PREPARE, timeout=60)
    return l1.check(f"timeout 150 {program} -d /tmp/npt {' '.join(arguments)} </dev/null",
                    timeout=200)


def paranoid_lines(l1) -> list[str]:
    """What the modules said about breaking their own rules."""
    return [line for line in l1.check("dmesg").splitlines() if "unikvm paranoid" in line]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_guest_sees_its_own_memory(l1_tree, program, scenario):
    before = paranoid_lines(l1_tree)
    assert f"ok {scenario}" in run(l1_tree, program, scenario)
    assert paranoid_lines(l1_tree) == before


@pytest.mark.parametrize("scenario", TWO_CPUS)
def test_two_vcpus_share_it(l1_tree, program, scenario):
    before = paranoid_lines(l1_tree)
    assert f"ok {scenario}" in run(l1_tree, program, "-c", "2", scenario)
    assert paranoid_lines(l1_tree) == before


@pytest.mark.full
@pytest.mark.parametrize("scenario", TWO_CPUS)
def test_two_vcpus_on_two_cpus(labs, program, scenario):
    l1 = labs.get("tree", cpus=2, parameters={"kvm.paranoid": "1"})
    l1.trouble()
    assert f"ok {scenario}" in run(l1, program, "-c", "2", scenario)
    assert not paranoid_lines(l1)
    assert not l1.trouble()


@pytest.mark.full
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_stock_agrees(l1_stock, program, scenario):
    assert f"ok {scenario}" in run(l1_stock, program, scenario)


def test_a_forgotten_flush_is_seen(l1_tree, program):
    """Break the rule once: the check that is silent above speaks."""
    before = paranoid_lines(l1_tree)
    l1_tree.check(f"echo {BREAK_NPT_FLUSH} > {PARAMETERS}/paranoid_break")
    run(l1_tree, program, "dontneed")
    fresh = paranoid_lines(l1_tree)[len(before):]
    assert fresh and all("NPT entry removed without a flush" in line for line in fresh)
    assert l1_tree.check(f"cat {PARAMETERS}/paranoid_break").strip() == "0"
    l1_tree.trouble()       # wanted, this once
    run(l1_tree, program, "dontneed")
    assert len(paranoid_lines(l1_tree)) == len(before) + len(fresh)
