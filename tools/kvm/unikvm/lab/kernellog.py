# SPDX-License-Identifier: GPL-2.0-only
"""L1's kernel log: what in it is trouble."""

import re

from unikvm.lab.machine import L1

# What a healthy kernel never says; the last lines are those of a debug kernel's checkers.
TROUBLE = re.compile(
    r"WARNING:|BUG:|Oops|general protection|kernel NULL pointer|Call Trace|unikvm paranoid|"
    r"soft lockup|hung task|blocked for more than|rcu_\w+ self-detected|unchecked MSR|"
    r"memory leak|"
    r"KASAN|ODEBUG|suspected memory leaks|sleeping function called|suspicious RCU|"
    r"possible circular locking|possible recursive locking|inconsistent lock state|"
    r"bad unlock balance|invalid wait context|lock held when returning|held lock freed",
    re.IGNORECASE)
EXCERPT_LINES = 80
# A leak is told when two scans found it, and it is older than five seconds.
SCAN_LEAKS = """
mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
leaks=/sys/kernel/debug/kmemleak
test -e $leaks || exit 0
for i in 1 2; do sleep 6; echo scan > $leaks; done
cat $leaks
"""
# A module, by its name or, once it is unloaded, by an address without one.
BY_A_MODULE = re.compile(r"\[kvm|\] 0x[0-9a-f]{16}$", re.MULTILINE)
SCAN_LIMIT = 600.0              # seconds; with every checker on, one takes a minute at times


class KernelLog:
    """Reads on where the last look ended."""

    def __init__(self, machine: L1) -> None:
        self._machine, self._last = machine, ""

    def fresh(self) -> list[str]:
        """Lines that came since the last call; all there are, if the log ran over meanwhile."""
        lines = self._machine.run(["dmesg"]).stdout.decode(errors="replace").splitlines()
        start = 0
        for index in range(len(lines) - 1, -1, -1):
            if lines[index] == self._last:
                start = index + 1
                break
        self._last = lines[-1] if lines else ""
        return lines[start:]

    def trouble(self, excerpt: int = EXCERPT_LINES) -> str:
        """The first complaint since the last call and what follows it; empty without one."""
        return first_trouble(self.fresh(), excerpt)


def first_trouble(lines: list[str], excerpt: int = EXCERPT_LINES) -> str:
    """The first complaint in a log, two lines before it and `excerpt` lines after."""
    for index, line in enumerate(lines):
        if TROUBLE.search(line):
            return "\n".join(lines[max(0, index - 2):index + excerpt])
    return ""


def leaks(machine: L1) -> str:
    """What the modules allocated and lost, where the kernel can tell; empty when nothing."""
    text = machine.run(SCAN_LEAKS, timeout=SCAN_LIMIT).stdout.decode(errors="replace")
    found = re.split(r"^(?=unreferenced object)", text, flags=re.MULTILINE)
    return "".join(each for each in found if BY_A_MODULE.search(each))
