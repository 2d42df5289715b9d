# SPDX-License-Identifier: GPL-2.0-only
"""KVM's own selftests, from Debian's kernel source: the programs, their build, one run."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unikvm.lab import LabError, kernels, places, sources
from unikvm.lab.appearing import appearing
from unikvm.lab.conformance import Outcome
from unikvm.lab.machine import L1, L1Died, L1Wedged

PACKAGE = "linux-source-6.1"
SUITE = "tools/testing/selftests/kvm"
KSFT_SKIP = 4

# The parts of the kernel source that the suite is built from.
MEMBERS = (
    "Makefile", "arch/x86/Makefile", "arch/x86/entry/syscalls", "arch/x86/include",
    "arch/x86/tools", "include/asm-generic", "include/uapi", "scripts", "tools/arch/x86/include",
    "tools/build", "tools/include", "tools/lib/rbtree.c", "tools/scripts",
    "tools/testing/selftests/kselftest.h", "tools/testing/selftests/kselftest_harness.h",
    "tools/testing/selftests/lib.mk", "tools/testing/selftests/rseq", SUITE, "usr/include")

# What keeps 6.1.192's copy from compiling: file, pattern, replacement.
BUILD_FIXES = (
    ("dirty_log_test.c", r"\bTEST_ASSERT_EQ\(", "ASSERT_EQ("),
    ("steal_time.c", r"(?<!stddef\.h>\n)#include <linux/kernel\.h>",
     "#include <linux/stddef.h>\n#include <linux/kernel.h>"),
)

# What takes no argument and is too long, or too impatient, for an emulated machine:
# rounds of VMs killed (of 512), migrations between CPUs (of 100,000), seconds until
# a guest answers (of 2).
SCALE_FIXES = (
    ("hardware_disable_test.c", r"#define FORK_NUM \(1ULL << 9\)",
     "#define FORK_NUM (1ULL << 6)"),
    ("rseq_test.c", r"#define NR_TASK_MIGRATIONS 100000\b", "#define NR_TASK_MIGRATIONS 10000"),
    ("memslot_perf_test.c", r"\balarm\(2\)", "alarm(60)"),
)
FIXES = BUILD_FIXES + SCALE_FIXES


@dataclass(frozen=True)
class Program:
    """A program of the suite. `tier`: A and B pass where stock does, C skips until the
    feature exists. `seconds`: the limit of one run, a few times what stock needs here.
    `blind`: it uses its feature without asking for it first, so it cannot skip, only fail.
    """

    name: str
    tier: str
    arguments: tuple[str, ...] = ()
    seconds: int = 120
    short: bool = False
    blind: bool = False

    @property
    def command(self) -> str:
        """Name and arguments, as typed."""
        return " ".join((self.name, *self.arguments))


PROGRAMS = (
    Program("cpuid_test", "A", short=True),
    Program("cr4_cpuid_sync_test", "A", short=True),
    Program("get_msr_index_features", "A", short=True),
    Program("hardware_disable_test", "A", seconds=600),
    Program("kvm_create_max_vcpus", "A", seconds=120),
    Program("max_guest_memory_test", "A", ("-m", "2", "-s", "1"), 300),
    Program("max_vcpuid_cap_test", "A", short=True),
    Program("platform_info_test", "A", short=True),
    Program("rseq_test", "A", seconds=600),
    Program("set_boot_cpu_id", "A", short=True),
    Program("set_memory_region_test", "A", seconds=300),
    Program("set_sregs_test", "A", short=True),
    Program("sync_regs_test", "A", short=True),
    Program("tsc_msrs_test", "A", short=True),
    Program("userspace_io_test", "A", short=True),
    Program("xapic_ipi_test", "A"),
    Program("xapic_state_test", "A", short=True),
    Program("access_tracking_perf_test", "B", ("-b", "32M"), 180),
    Program("debug_regs", "B"),
    Program("demand_paging_test", "B", ("-b", "64M"), 180),
    Program("dirty_log_perf_test", "B", ("-b", "64M", "-v", "2"), 300),
    Program("dirty_log_test", "B", ("-i", "3"), 600),
    Program("fix_hypercall_test", "B", short=True),
    Program("kvm_binary_stats_test", "B"),
    Program("kvm_clock_test", "B"),
    Program("kvm_page_table_test", "B", ("-b", "64M"), 300),
    Program("kvm_pv_test", "B", short=True),
    Program("memslot_modification_stress_test", "B", ("-b", "32M"), 180),
    Program("memslot_perf_test", "B", ("-l", "1", "-s", "512"), 300),
    Program("monitor_mwait_test", "B", short=True),
    Program("state_test", "B", short=True),
    Program("steal_time", "B"),
    Program("system_counter_offset_test", "B"),
    Program("userspace_msr_exit_test", "B", short=True),
    Program("hyperv_clock", "C", blind=True),
    Program("hyperv_features", "C", blind=True),
    Program("smm_test", "C", blind=True),
    *(Program(name, "C") for name in (
        "amx_test", "emulator_error_test", "evmcs_test", "hyperv_cpuid", "hyperv_svm_test",
        "mmio_warning_test", "nested_exceptions_test", "nx_huge_pages_test",
        "pmu_event_filter_test", "sev_migrate_tests", "svm_int_ctl_test",
        "svm_nested_shutdown_test", "svm_nested_soft_inject_test", "svm_vmcall_test",
        "triple_fault_event_test", "tsc_scaling_sync", "ucna_injection_test",
        "vmx_apic_access_test", "vmx_close_while_nested_test", "vmx_dirty_log_test",
        "vmx_exception_with_invalid_guest_state", "vmx_invalid_nested_guest_state",
        "vmx_msrs_test", "vmx_nested_tsc_scaling_test", "vmx_pmu_caps_test",
        "vmx_preemption_timer_test", "vmx_set_nested_state_test", "vmx_tsc_adjust_test",
        "xen_shinfo_test", "xen_vmcall_test", "xss_msr_test")),
)


def chosen(only: Sequence[str], short: bool) -> list[Program]:
    """The programs a command line asks for; LabError names one that is not there."""
    names = {program.name for program in PROGRAMS}
    unknown = [name for name in only if name not in names]
    if unknown:
        raise LabError(f"no selftest {unknown[0]}; there are: {' '.join(sorted(names))}")
    return [program for program in PROGRAMS
            if (program.name in only if only else program.short or not short)]


def allowed(program: Program) -> tuple[str, ...]:
    """How a program may end on ours whatever stock does; see conformance.Row."""
    if program.tier != "C":
        return ()
    return ("skip", "FAIL") if program.blind else ("skip",)


@dataclass(frozen=True)
class Suite:
    """The built programs: `folder`/NAME. `version`: the source package's, and our fixes'."""

    version: str
    folder: Path


def suite(progress: kernels.Progress) -> Suite:
    """The built programs, from the cache unless Debian has a newer source."""
    base = places.cache_dir() / "selftests"
    base.mkdir(exist_ok=True)
    with open(base / ".lock", "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            source = sources.get(PACKAGE, progress)
        except LabError:
            # Without apt's help those at hand, as with kernels.
            known = sorted(path.name for path in base.glob(f"[0-9]*-{fixes_id()}"))
            if not known:
                raise
            return Suite(known[-1], base / known[-1])
        version = f"{source.name.split('_')[1]}-{fixes_id()}"
        built = Suite(version, base / version)
        if not built.folder.is_dir():
            make(source, built.folder, progress)
    return built


def fixes_id() -> str:
    """Changes with the fixes."""
    return hashlib.sha256(repr(FIXES).encode()).hexdigest()[:8]


def make(source: Path, folder: Path, progress: kernels.Progress) -> None:
    """Copy, fix, compile; the programs appear in `folder` all at once."""
    with appearing(folder, "programs") as work:
        copy_members(source, work / "source")
        (work / "programs").mkdir()
        apply_fixes(work / "source" / SUITE)
        progress("building KVM's selftests")
        log = places.log_path("selftests-build")
        compile_in(work / "source", log)
        for program in PROGRAMS:
            where = work / "source" / SUITE
            found = [path for path in (where / program.name, where / "x86_64" / program.name)
                     if path.is_file()]
            if not found:
                raise LabError(f"the selftests' build made no {program.name}; log: {log}")
            shutil.copy2(found[0], work / "programs")


def copy_members(source: Path, target: Path) -> None:
    """The source tree is shared and may be in use: build in a copy of the parts."""
    for member in MEMBERS:
        (target / member).parent.mkdir(parents=True, exist_ok=True)
        if (source / member).is_dir():
            shutil.copytree(source / member, target / member, symlinks=True)
        else:
            shutil.copy2(source / member, target / member)


def apply_fixes(where: Path) -> None:
    """Our fixes; one that a newer copy no longer needs changes nothing."""
    for name, pattern, replacement in FIXES:
        path = where / name
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(pattern, replacement, text), encoding="utf-8")


def compile_in(source: Path, log: Path) -> None:
    """The kernel's user-space headers, then the suite; output into the log."""
    jobs = f"-j{os.cpu_count() or 1}"
    with open(log, "wb") as file:
        for command in (["make", "-C", str(source), "ARCH=x86", "headers", jobs],
                        ["make", "-C", str(source / SUITE), "ARCH=x86_64", jobs]):
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file,
                                  stderr=subprocess.STDOUT, check=False,
                                  env=dict(os.environ, LC_ALL="C"))
            if done.returncode:
                raise LabError(f"KVM's selftests do not build; log: {log}")


def run(machine: L1, built: Suite, program: Program) -> Outcome:
    """One program in L1, killed there at its limit. A lost machine is an outcome, too."""
    command = ["timeout", "-k", "5", str(program.seconds),
               str(built.folder / program.name), *program.arguments]
    started = time.monotonic()
    try:
        done = machine.run(command, timeout=program.seconds + 60)
    except (L1Wedged, L1Died, TimeoutError) as error:
        return Outcome("wedge", time.monotonic() - started, str(error))
    text = (done.stdout + done.stderr).decode(errors="replace")
    word = {0: "pass", KSFT_SKIP: "skip", 124: "timeout", 137: "timeout"}.get(done.status, "FAIL")
    return Outcome(word, time.monotonic() - started, "\n".join(text.splitlines()[-40:]))
