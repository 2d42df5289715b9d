# SPDX-License-Identifier: GPL-2.0-only
"""A machine that sleeps, loses a CPU, reboots, or crashes while guests work on our modules.

Each machine stands alone (lib/bare.py). A kernel that follows another finds SVM
switched off on every CPU it starts with, loads the modules and runs a guest.
"""

import re
import shutil

import pytest

from lib import bare, tree
from lib.mutant import Mutant
from unikvm.lab import kernels, modules

pytestmark = [pytest.mark.module, pytest.mark.full, pytest.mark.timeout(900)]

SVME = 1 << 12

# Shell functions for all scripts. A guest that stops, or stops advancing, ends the script.
COMMON = """
die() { echo "$*"; dmesg | tail -40; exit 1; }
start_guests() {
    for n in 1 2; do /busyguest /progress$n 2>/error$n & echo $! >/pid$n; done
    advance
}
advance() {
    for n in 1 2; do
        set -- $(cat /progress$n 2>/dev/null || echo 0 0)
        a=$1 b=$2 tries=0
        while :; do
            kill -0 $(cat /pid$n) 2>/dev/null || die "guest $n ended: $(cat /error$n)"
            set -- $(cat /progress$n 2>/dev/null || echo 0 0)
            [ ${1:-0} -gt $((a + 20)) ] && [ ${2:-0} -gt $((b + 20)) ] && break
            tries=$((tries + 1))
            [ $tries -lt 600 ] || die "guest $n stands still: $*, $a $b"
            sleep 0.1
        done
    done
}
next_kernel() {
    insmod /msr.ko && /power efer
    /smallguest 3 && echo small guests ran
    start_guests && echo guests ran
}
stop_guests() { kill $(cat /pid1 /pid2); }
fine() { dmesg | grep -E "WARNING|BUG:|Oops|paranoid|soft lockup" || echo kernel fine; }
"""

NEXT = COMMON + "echo next kernel\nnext_kernel\nstop_guests\nfine\n"


@pytest.fixture
def machine(tmp_path, build_guest):
    """machine(script, ...): run it in a machine of its own; what it printed."""
    built = modules.tree_modules(tree.build_dir())
    kernel = kernels.by_version(built.kernel)
    programs = [build_guest(tmp_path, name) for name in ("busyguest", "smallguest", "power")]
    files = [*programs, *bare.plain_modules(kernel, ["msr"], tmp_path)]

    def run(script, *, kexec=False, half=built, **more):
        extra = list(files)
        if kexec:
            (tmp_path / "next.cpio").write_bytes(bare.archive(kernel, NEXT, built, files))
            shutil.copy(kernel.vmlinuz, tmp_path / "vmlinuz")
            extra += [tmp_path / "next.cpio", tmp_path / "vmlinuz"]
        status, out, console = bare.execute(kernel, COMMON + script, half, extra, **more)
        assert status == 0, out + console[-4000:]
        return out
    return run


def assert_ran_next(out):
    """In the second kernel."""
    said = out.partition("next kernel\n")[2]
    found = {int(cpu): int(value, 16) for cpu, value in
             re.findall(r"^efer (\d+) (0x[0-9a-f]+)$", said, re.MULTILINE)}
    assert found and not [cpu for cpu, efer in found.items() if efer & SVME], said
    assert "small guests ran" in said and "\nguests ran" in said and "kernel fine" in said, said


def test_kexec(machine):
    out = machine(f"""
        start_guests
        /power load /vmlinuz /next.cpio "{bare.WORDS}" || die no kexec
        /power kexec
        die still here
        """, kexec=True)
    assert_ran_next(out)


def test_crash_kexec(machine):
    """The crash may find a CPU in a guest."""
    out = machine(f"""
        start_guests
        /power crash /vmlinuz /next.cpio "{bare.WORDS} nr_cpus=1 irqpoll reset_devices" || die none
        echo c >/proc/sysrq-trigger
        die still here
        """, kexec=True, words="crashkernel=320M", memory=1536)
    assert_ran_next(out)


def test_reboot(machine):
    """Through the firmware, to the same script: a byte of CMOS tells the second time."""
    out = machine("""
        if [ $(/power cmos) != 77 ]; then
            /power cmos 77
            start_guests
            reboot -f
            sleep 60
            die still here
        fi
        """ + NEXT.removeprefix(COMMON))
    assert_ran_next(out)


# pm_test stops on the way into the sleep and comes back after five seconds. Nothing wakes
# the emulated machine from "freeze" itself.
LEVELS = ("freezer", "devices", "platform", "processors", "core")

SLEEP = """
    start_guests
    for level in {levels}; do
        echo $level >/sys/power/pm_test || die no $level
        echo {state} >/sys/power/state || die $level failed
        advance
        echo {state} $level survived
    done
    stop_guests
    fine
"""


@pytest.mark.parametrize("state", ["mem", "freeze"])
def test_suspend_up_to_each_level(machine, state):
    levels = LEVELS if state == "mem" else LEVELS[:3]
    out = machine(SLEEP.format(state=state, levels=" ".join(levels)),
                  words="no_console_suspend")
    for level in levels:
        assert f"{state} {level} survived" in out, out
    assert "kernel fine" in out, out


def test_suspend_and_wake(machine):
    """S3 and back, through the firmware; the clock's alarm wakes the machine."""
    out = machine("""
        start_guests
        cat /sys/power/mem_sleep
        for round in 1 2; do
            echo +4 >/sys/class/rtc/rtc0/wakealarm || die no alarm
            echo mem >/sys/power/state || die not asleep
            advance
            echo woken $round
        done
        stop_guests
        dmesg | grep -c "ACPI: PM: Waking up from system sleep state S3"
        fine
        """, words="no_console_suspend loglevel=2")
    assert "[deep]" in out and "woken 2\n2\nkernel fine" in out, out


def test_cpus_go_and_come(machine):
    """Each CPU but the first, again and again, under guests that would use both."""
    out = machine("""
        start_guests
        for n in 1 2 3 4 5 6; do
            echo 0 >/sys/devices/system/cpu/cpu1/online || die stays
            advance
            echo 1 >/sys/devices/system/cpu/cpu1/online || die is gone
            advance
        done
        stop_guests
        fine
        """)
    assert "kernel fine" in out, out


def test_a_tsc_that_starts_anew(machine, tmp_path):
    """As after S3 on real processors: what our modules read as the host's TSC begins at 0.

    The guest's TSC goes on, and its clock is reckoned from the new one.
    """
    mutant = Mutant(tmp_path / "mutant", modules.tree_modules(tree.build_dir()).kernel)
    mutant.edit("x86/x86.h", r"#endif\s*$", r"extern u64 lost;\n#define rdtsc() (rdtsc() - lost)\n"
                                           r"#endif\n")
    mutant.edit("x86/time.c", r"(#include \"x86.h\"\n)", r"\1\nu64 lost;\n")
    mutant.edit("x86/kvmclock.c", r"now = rdtsc\(\);", "now = (lost = (rdtsc)(), rdtsc());")
    mutant.edit("x86/kvmclock.c", r"m->tsc = snap.cycles;", "m->tsc = snap.cycles - lost;")
    sleep = """
        start_guests
        echo core >/sys/power/pm_test && echo mem >/sys/power/state || die no sleep
        """
    words = "tsc=reliable no_console_suspend"   # else a vCPU that changes CPUs is set right
    out = machine(sleep + "advance\necho guests go on", half=mutant.build(), words=words)
    assert "guests go on" in out, out
    mutant.edit("x86/kvmclock.c", r"vm->use_master_clock = false;", "")
    out = machine(sleep + "sleep 3\ncat /error1 /error2", half=mutant.build(), words=words)
    assert re.search(r"busyguest: vCPU \d: clock \d+ after", out), out
    mutant.edit("x86/kvmclock.c", r"if \(newest <= now\)", "if (newest)")
    out = machine(sleep + "sleep 3\ncat /error1 /error2", half=mutant.build(), words=words)
    assert re.search(r"busyguest: vCPU \d: TSC 0x\w+ after", out), out
