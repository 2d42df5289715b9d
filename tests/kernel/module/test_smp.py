# SPDX-License-Identifier: GPL-2.0-only
"""Guests of several vCPUs on the tree's modules, in an L1 of two CPUs.

The guest's load (smpload.c) sees a missing TLB shootdown, a lost IPI and a clock
that differs between CPUs; the L1 around it moves and takes away what it runs on.
"""

import re
import time

import pytest

from lib.vmm import Guest
from unikvm.cli.labargs import TSC_TIME

pytestmark = [pytest.mark.module, pytest.mark.full, pytest.mark.timeout(900)]

# Each other thread of the VMM onto the other CPU, again and again.
MOVE = """
end=$((SECONDS + {seconds})); cpu=0; moves=0
while [ $SECONDS -lt $end ]; do
    for pid in $(pgrep -f unikvm.lab.onhost); do
        for task in /proc/$pid/task/*; do
            taskset -pc $((cpu % 2)) ${{task##*/}} >/dev/null 2>&1 && moves=$((moves + 1))
            cpu=$((cpu + 1))
        done
    done
    cpu=$((cpu + 1))
    sleep 0.05
done
for pid in $(pgrep -f unikvm.lab.onhost); do taskset -apc 0,1 $pid >/dev/null; done
echo $moves
"""

UNPLUG = """
end=$((SECONDS + {seconds})); rounds=0
while [ $SECONDS -lt $end ]; do
    echo 0 >/sys/devices/system/cpu/cpu1/online || exit 1
    sleep 0.3
    echo 1 >/sys/devices/system/cpu/cpu1/online || exit 1
    sleep 0.3
    rounds=$((rounds + 1))
done
echo $rounds
"""


@pytest.fixture(params=["tree"])
def l1(request, labs):
    """Two CPUs; a kernel warning fails the test."""
    # An L1 that trusts its TSC no more has kvm-clock run beside the guest's, by percents.
    shared = labs.get(request.param, cpus=2, parameters={"kvm.paranoid": "1"},
                      kernel_args=TSC_TIME)
    shared.trouble()
    yield shared
    if not shared.machine.is_lost():
        found = shared.trouble()
        assert not found, f"the L1 kernel complained:\n{found}"


def loaded(l1, labs, smpload, cpus, seconds, meanwhile=(), **more):
    """Run the load in a guest; scripts in L1 beside it, one after the other."""
    guest = Guest(l1, labs.scratch, f"nproc; cat /proc/interrupts; smpload {seconds}", cpus=cpus,
                  programs=(smpload,), **more)
    while guest.state() not in ("ready", "exit") and not guest.has_ended():
        time.sleep(0.2)
    said = [int(l1.check(script, timeout=200)) for script in meanwhile]
    ended = guest.check()
    lines = ended.stdout.splitlines()
    assert lines[0] == str(cpus)
    assert re.search(rf"^smpload ok: {cpus} CPUs", ended.stdout, re.MULTILINE), ended.stdout
    return ended, said


def interrupts(text, kind):
    """A line of /proc/interrupts: its count on each CPU."""
    found = re.search(rf"^ *{kind}:((?: +\d+)+)", text, re.MULTILINE)
    assert found, text
    return list(map(int, found.group(1).split()))


def test_vcpus_move_between_cpus_and_cpus_go_away(l1, labs, smpload):
    ended, (moves, rounds) = loaded(
        l1, labs, smpload, 4, 24, (MOVE.format(seconds=8), UNPLUG.format(seconds=8)))
    assert moves > 10 and rounds > 1   # both cost much on a busy host
    for kind in ("LOC", "CAL"):
        assert all(interrupts(ended.stdout, kind)), f"a CPU without {kind}"


def test_eight_vcpus_booted_directly(l1, labs, smpload):
    """No firmware woke these before the kernel did."""
    loaded(l1, labs, smpload, 8, 8, boot="direct")


@pytest.mark.parametrize("l1", ["stock"], indirect=True)
def test_the_bench_itself_on_the_stock_half(l1, labs, smpload):
    loaded(l1, labs, smpload, 4, 24, (MOVE.format(seconds=8), UNPLUG.format(seconds=8)))


def test_sixteen_vcpus(l1, labs, smpload):
    """More of Linux's take too long under emulation; test_manycpus.py has 64."""
    loaded(l1, labs, smpload, 16, 10, memory=1024, limit=500)


def test_two_guests_of_four(l1, labs, smpload):
    guests = [Guest(l1, labs.scratch, "smpload 20", cpus=4, programs=(smpload,), limit=400)
              for _ in range(2)]
    l1.check(MOVE.format(seconds=20), timeout=200)
    for guest in guests:
        assert "smpload ok: 4 CPUs" in guest.check().stdout
