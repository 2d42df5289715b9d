# SPDX-License-Identifier: GPL-2.0-only
"""Up to 64 vCPUs started by INIT and SIPI, which interrupt one another.

Linux on 64 vCPUs is too slow under emulation: the guest is our own (manycpus.S).
It finds interrupts that are lost, come twice or while they are masked, registers
that change, and timers that stop.
"""

import re

import pytest

pytestmark = [pytest.mark.module, pytest.mark.timeout(600)]


def check(l1, program, options: str, cpus: int, seconds: int) -> tuple[int, ...]:
    """Run it; returns its counts of moves and of zaps."""
    said = l1.check(f"{program} {options} {cpus} {seconds} </dev/null", timeout=400)
    found = re.fullmatch(rf"manycpus ok: {cpus} CPUs, (\d+) interrupts, (\d+) ticks, "
                         r"(\d+) moves, (\d+) zaps\n", said)
    assert found, said
    return tuple(map(int, found.groups()[2:]))


@pytest.mark.parametrize("options", ["", "-x"], ids=["xapic", "x2apic"])
def test_many_vcpus(l1_tree, manycpus, options):
    """64 of them: a second or two of wake-ups each."""
    check(l1_tree, manycpus, options, 64, 3)


def test_translations_go_while_interrupts_are_delivered(l1_tree, manycpus):
    """An exit in the middle of a delivery: the event comes again, once."""
    assert check(l1_tree, manycpus, "-x -z", 4, 4)[1] > 10


@pytest.mark.full
@pytest.mark.parametrize("half", ["tree", "stock"])
@pytest.mark.parametrize("cpus, options", [(4, "-x -m"), (4, "-m -z"), (64, "-m"), (64, "-x -m")])
def test_vcpus_that_move_between_cpus(labs, manycpus, half, cpus, options):
    """What the tree must do, the bench must show of stock, too."""
    l1 = labs.get(half, cpus=2, parameters={"kvm.paranoid": "1"})
    l1.trouble()
    assert check(l1, manycpus, options, cpus, 20)[0] > 50
    assert not l1.trouble()
