# SPDX-License-Identifier: GPL-2.0-only
"""What an L1's memory holds, counted exactly enough to see one object a round leak.

By default SLUB counts the free objects of each CPU's slab pages as used, which
moves its numbers by hundreds. With `slub_debug=U` on the kernel's command line
no cache is merged, none keeps per-CPU pages, and each object knows who asked
for it (kernel Documentation/mm/slub.rst).
"""

import re
from collections import Counter

KERNEL_ARGS = ("slub_debug=U",)

# kfree_rcu() collects for up to five seconds before it frees.
SNAPSHOT = """
sync; echo 3 > /proc/sys/vm/drop_caches; sleep 6; echo 3 > /proc/sys/vm/drop_caches; sleep 1
for cache in /sys/kernel/slab/*/shrink; do echo 1 > $cache; done
cat /proc/meminfo; echo ==; cat /proc/slabinfo; echo ==; cat /proc/zoneinfo; echo ==
cd /sys/kernel/debug/slab; grep -H . kmalloc-*/alloc_traces
"""
# As much comes and goes unasked: the shell, the file system, the page tables of modules.
SYSTEM_KIB = 1024

# Ranges that vfree() gave up wait here to be unmapped together; VmallocUsed counts the others.
LAZY = {"vmap_area"}


class Memory:
    """What /proc/meminfo, /proc/slabinfo and the call sites of allocations say."""

    def __init__(self, l1) -> None:
        assert "slub_debug=U" in l1.check("cat /proc/cmdline"), "this machine counts inexactly"
        meminfo, slabinfo, zoneinfo, traces = l1.check(SNAPSHOT, timeout=100).split("==\n")
        fields = dict(line.split(":", 1) for line in meminfo.splitlines())
        self.kib = {name: int(value.split()[0]) for name, value in fields.items()}
        # KASAN keeps freed objects back by the megabyte: a kernel with it is asked for leaks.
        self.objects = {} if l1.finds_leaks else {
            words[0]: int(words[1]) for words in
            (line.split() for line in slabinfo.splitlines()[2:]) if words[0] not in LAZY}
        self.parked_kib = 4 * sum(map(int, re.findall(r"^ +count: (\d+)", zoneinfo, re.MULTILINE)))
        self.sites: Counter[str] = Counter()
        for count, site in re.findall(r"alloc_traces: *(\d+) (\S+)", traces):
            self.sites[site] += int(count)

    @property
    def taken(self) -> int:
        """KiB that neither are free, nor parked for a CPU, nor come back when memory is short."""
        return (self.kib["MemTotal"] - self.kib["MemFree"] - self.parked_kib - self.kib["Cached"]
                - self.kib["Buffers"] - self.kib["SReclaimable"])

    def grown_since(self, before: "Memory", times: int) -> list[str]:
        """What grew by one object, or one page, for each of `times`; empty when nothing did.

        Three quarters of it count: some objects of the system's own may have gone meanwhile.
        """
        times = times * 3 // 4
        grown = [f"{name}: {count - before.objects.get(name, 0)} objects more"
                 for name, count in self.objects.items()
                 if count - before.objects.get(name, 0) >= times]
        grown += [f"{name}: {self.kib[name] - before.kib[name]} KiB more"
                  for name in ("VmallocUsed", "Percpu", "PageTables", "KernelStack", "Mlocked")
                  if self.kib[name] - before.kib[name] >= 4 * times]
        if self.taken - before.taken >= max(4 * times, SYSTEM_KIB):
            grown.append(f"all together: {self.taken - before.taken} KiB more")
        if grown:
            grown += [f"call site {site}: {count} more" for site, count in
                      (self.sites - before.sites).most_common(8)]
        return grown
