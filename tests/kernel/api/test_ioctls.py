# SPDX-License-Identifier: GPL-2.0-only
"""Every request and capability of Linux's <linux/kvm.h>, on every kind of file, in L1.

The header is the host's, not ours: l1/ioctls.c calls all of it, with a pointer to nowhere, to
zeroes, and with 0. EXPECTED says what comes of it; docs/api.md has to say the same. The stock
half has to agree, in the full tier, but for DIFFERENT.
"""

import re
from pathlib import Path

import pytest

from lib import programs, tree

HERE = Path(__file__).parent
LINUX = Path("/usr/include/linux/kvm.h")
LINUX_X86 = Path("/usr/include/x86_64-linux-gnu/asm/kvm.h")
DOC = tree.ROOT / "docs/api.md"

# What is not listed is refused: the file kind does not know the request.
REFUSED = {"dev": "EINVAL", "vm": "ENOTTY", "vcpu": "EINVAL"}
# Files of requests that EXPECTED does not show: one gives EINVAL while the guest has no clock page,
# the other goes with its capability.
OTHER_FILES = {"KVM_KVMCLOCK_CTRL": ["vcpu"], "KVM_GET_STATS_FD": ["vm", "vcpu"]}
STATS = "KVM_CAP_BINARY_STATS_FD"

# request, file, results with a bad pointer, zeroes, 0; where it matters also with the chips and
# the PIT in the kernel. "khz" is a frequency.
EXPECTED = """
KVM_GET_API_VERSION             dev   EINVAL EINVAL 12
KVM_CREATE_VM                   dev   EINVAL EINVAL fd
KVM_GET_MSR_INDEX_LIST          dev   EFAULT E2BIG EFAULT
KVM_CHECK_EXTENSION             dev   1 0 1
KVM_CHECK_EXTENSION             vm    1 0 1
KVM_GET_VCPU_MMAP_SIZE          dev   EINVAL EINVAL 12288
KVM_GET_SUPPORTED_CPUID         dev   EFAULT E2BIG EFAULT
KVM_GET_EMULATED_CPUID          dev   EFAULT 0 EFAULT
KVM_GET_MSR_FEATURE_INDEX_LIST  dev   EFAULT E2BIG EFAULT
KVM_CREATE_VCPU                 vm    fd EINVAL EEXIST
KVM_GET_DIRTY_LOG               vm    EFAULT ENOENT EFAULT
KVM_SET_NR_MMU_PAGES            vm    EINVAL 0 EINVAL
KVM_GET_NR_MMU_PAGES            vm    0 0 0
KVM_SET_USER_MEMORY_REGION      vm    EFAULT EINVAL EFAULT
KVM_SET_TSS_ADDR                vm    0 EINVAL 0
KVM_SET_IDENTITY_MAP_ADDR       vm    EFAULT EINVAL EFAULT
KVM_CREATE_IRQCHIP              vm    EINVAL EINVAL EINVAL | EEXIST EEXIST EEXIST
KVM_IRQ_LINE                    vm    EFAULT ENXIO EFAULT | EFAULT 0 EFAULT
KVM_GET_IRQCHIP                 vm    EFAULT ENXIO EFAULT | EFAULT 0 EFAULT
KVM_SET_IRQCHIP                 vm    EFAULT ENXIO EFAULT | EFAULT 0 EFAULT
KVM_CREATE_PIT                  vm    ENOENT ENOENT ENOENT | EEXIST EEXIST EEXIST
KVM_GET_PIT                     vm    ENXIO ENXIO ENXIO | EFAULT 0 EFAULT
KVM_SET_PIT                     vm    ENXIO ENXIO ENXIO | EFAULT 0 EFAULT
KVM_IRQ_LINE_STATUS             vm    EFAULT ENXIO EFAULT | EFAULT 0 EFAULT
KVM_SET_GSI_ROUTING             vm    EFAULT EINVAL EFAULT | EFAULT 0 EFAULT
KVM_REINJECT_CONTROL            vm    ENXIO ENXIO ENXIO | EFAULT 0 EFAULT
KVM_IRQFD                       vm    EFAULT EINVAL EFAULT
KVM_CREATE_PIT2                 vm    EFAULT ENOENT EFAULT | EFAULT EEXIST EFAULT
KVM_SET_BOOT_CPU_ID             vm    EBUSY EBUSY EBUSY
KVM_IOEVENTFD                   vm    EFAULT EINVAL EFAULT
KVM_REGISTER_COALESCED_MMIO     vm    EFAULT EINVAL EFAULT
KVM_UNREGISTER_COALESCED_MMIO   vm    EFAULT 0 EFAULT
KVM_SET_CLOCK                   vm    EFAULT 0 EFAULT
KVM_GET_CLOCK                   vm    EFAULT 0 EFAULT
KVM_GET_PIT2                    vm    ENXIO ENXIO ENXIO | EFAULT 0 EFAULT
KVM_SET_PIT2                    vm    ENXIO ENXIO ENXIO | EFAULT 0 EFAULT
KVM_SET_TSC_KHZ                 vm    EINVAL EINVAL 0
KVM_SET_TSC_KHZ                 vcpu  EINVAL EINVAL 0
KVM_GET_TSC_KHZ                 vm    khz khz khz
KVM_GET_TSC_KHZ                 vcpu  khz khz khz
KVM_SIGNAL_MSI                  vm    EFAULT EINVAL EFAULT | EFAULT 0 EFAULT
KVM_SET_DEVICE_ATTR             vcpu  EFAULT EFAULT EFAULT
KVM_GET_DEVICE_ATTR             dev   EFAULT EFAULT EFAULT
KVM_GET_DEVICE_ATTR             vcpu  EFAULT EFAULT EFAULT
KVM_HAS_DEVICE_ATTR             dev   EFAULT 0 EFAULT
KVM_HAS_DEVICE_ATTR             vcpu  EFAULT 0 EFAULT
KVM_RUN                         vcpu  EINVAL EINVAL EINTR
KVM_GET_REGS                    vcpu  EFAULT 0 EFAULT
KVM_SET_REGS                    vcpu  EFAULT 0 EFAULT
KVM_GET_SREGS                   vcpu  EFAULT 0 EFAULT
KVM_SET_SREGS                   vcpu  EFAULT 0 EFAULT
KVM_TRANSLATE                   vcpu  EFAULT 0 EFAULT
KVM_INTERRUPT                   vcpu  EFAULT 0 EFAULT | EFAULT ENXIO EFAULT
KVM_GET_MSRS                    dev   EFAULT 0 EFAULT
KVM_GET_MSRS                    vcpu  EFAULT 0 EFAULT
KVM_SET_MSRS                    vcpu  EFAULT 0 EFAULT
KVM_SET_CPUID                   vcpu  EFAULT 0 EFAULT
KVM_SET_SIGNAL_MASK             vcpu  EFAULT EINVAL 0
KVM_GET_FPU                     vcpu  EFAULT 0 EFAULT
KVM_SET_FPU                     vcpu  EFAULT 0 EFAULT
KVM_GET_LAPIC                   vcpu  EINVAL EINVAL EINVAL | EFAULT 0 EFAULT
KVM_SET_LAPIC                   vcpu  EINVAL EINVAL EINVAL | EFAULT 0 EFAULT
KVM_SET_CPUID2                  vcpu  EFAULT 0 EFAULT
KVM_GET_CPUID2                  vcpu  EFAULT 0 EFAULT
KVM_TPR_ACCESS_REPORTING        vcpu  EFAULT 0 EFAULT
KVM_SET_VAPIC_ADDR              vcpu  EINVAL EINVAL EINVAL | EFAULT 0 EFAULT
KVM_GET_MP_STATE                vcpu  EFAULT 0 EFAULT
KVM_SET_MP_STATE                vcpu  EFAULT 0 EFAULT
KVM_NMI                         vcpu  0 0 0
KVM_SET_GUEST_DEBUG             vcpu  EFAULT 0 EFAULT
KVM_X86_SETUP_MCE               vcpu  EFAULT EINVAL EFAULT
KVM_X86_GET_MCE_CAP_SUPPORTED   dev   EFAULT 0 EFAULT
KVM_X86_SET_MCE                 vcpu  EFAULT EINVAL EFAULT
KVM_GET_VCPU_EVENTS             vcpu  EFAULT 0 EFAULT
KVM_SET_VCPU_EVENTS             vcpu  EFAULT 0 EFAULT
KVM_GET_DEBUGREGS               vcpu  EFAULT 0 EFAULT
KVM_SET_DEBUGREGS               vcpu  EFAULT 0 EFAULT
KVM_ENABLE_CAP                  vm    EFAULT EINVAL EFAULT
KVM_ENABLE_CAP                  vcpu  EFAULT EINVAL EFAULT
KVM_GET_XSAVE                   vcpu  EFAULT 0 EFAULT
KVM_SET_XSAVE                   vcpu  EFAULT 0 EFAULT
KVM_GET_XCRS                    vcpu  EFAULT 0 EFAULT
KVM_SET_XCRS                    vcpu  EFAULT 0 EFAULT
KVM_CLEAR_DIRTY_LOG             vm    EFAULT ENOENT EFAULT
KVM_X86_SET_MSR_FILTER          vm    EFAULT 0 EFAULT
KVM_GET_SREGS2                  vcpu  EFAULT 0 EFAULT
KVM_SET_SREGS2                  vcpu  EFAULT 0 EFAULT
KVM_GET_XSAVE2                  vcpu  EFAULT 0 EFAULT
"""

# (request, file): why the stock half answers differently.
DIFFERENT = {
    ("KVM_GET_EMULATED_CPUID", "dev"): "nothing is there by emulation only: an empty list",
    ("KVM_SET_IDENTITY_MAP_ADDR", "vm"): "the pointer is looked at first",
    ("KVM_CREATE_PIT", "vm"): "without interrupt chips it would have nobody to interrupt",
    ("KVM_CREATE_PIT2", "vm"): "the same",
    ("KVM_GET_PIT", "vm"): "that there is no PIT comes first",
    ("KVM_SET_PIT", "vm"): "the same",
    ("KVM_SET_PIT2", "vm"): "the same",
    ("KVM_REINJECT_CONTROL", "vm"): "the same",
    ("KVM_SET_TSC_KHZ", "vm"): "a rate that cannot be had is refused, not ignored",
    ("KVM_SET_TSC_KHZ", "vcpu"): "the same",
    ("KVM_REGISTER_COALESCED_MMIO", "vm"): "a zone of no bytes is refused",
    ("KVM_SET_PMU_EVENT_FILTER", "vm"): "no virtual PMU",
    ("KVM_CREATE_DEVICE", "vm"): "there is no device to make: no KVM_CAP_DEVICE_CTRL",
    ("KVM_SMI", "vcpu"): "no SMM: no KVM_CAP_X86_SMM",
    ("KVM_MEMORY_ENCRYPT_REG_REGION", "vm"): "no SEV",
    ("KVM_MEMORY_ENCRYPT_UNREG_REGION", "vm"): "no SEV",
    ("KVM_HYPERV_EVENTFD", "vm"): "no Hyper-V interface",
    ("KVM_GET_SUPPORTED_HV_CPUID", "dev"): "no Hyper-V interface",
    ("KVM_GET_SUPPORTED_HV_CPUID", "vcpu"): "no Hyper-V interface",
    ("KVM_GET_NESTED_STATE", "vcpu"): "no nested guests",
    ("KVM_SET_NESTED_STATE", "vcpu"): "no nested guests",
    ("KVM_RESET_DIRTY_RINGS", "vm"): "no dirty ring",
}

CAPS_EXPECTED = """
KVM_CAP_IRQCHIP                         1
KVM_CAP_HLT                             1
KVM_CAP_USER_MEMORY                     1
KVM_CAP_SET_TSS_ADDR                    1
KVM_CAP_EXT_CPUID                       1
KVM_CAP_CLOCKSOURCE                     1
KVM_CAP_NR_VCPUS                        cpus
KVM_CAP_NR_MEMSLOTS                     32764
KVM_CAP_PIT                             1
KVM_CAP_NOP_IO_DELAY                    1
KVM_CAP_MP_STATE                        1
KVM_CAP_COALESCED_MMIO                  2
KVM_CAP_SYNC_MMU                        1
KVM_CAP_DESTROY_MEMORY_REGION_WORKS     1
KVM_CAP_USER_NMI                        1
KVM_CAP_SET_GUEST_DEBUG                 1
KVM_CAP_REINJECT_CONTROL                1
KVM_CAP_IRQ_ROUTING                     4096
KVM_CAP_IRQ_INJECT_STATUS               1
KVM_CAP_JOIN_MEMORY_REGIONS_WORKS       1
KVM_CAP_MCE                             32
KVM_CAP_IRQFD                           1
KVM_CAP_PIT2                            1
KVM_CAP_SET_BOOT_CPU_ID                 1
KVM_CAP_PIT_STATE2                      1
KVM_CAP_IOEVENTFD                       1
KVM_CAP_SET_IDENTITY_MAP_ADDR           1
KVM_CAP_ADJUST_CLOCK                    14
KVM_CAP_INTERNAL_ERROR_DATA             1
KVM_CAP_VCPU_EVENTS                     1
KVM_CAP_INTR_SHADOW                     1
KVM_CAP_DEBUGREGS                       1
KVM_CAP_X86_ROBUST_SINGLESTEP           1
KVM_CAP_ENABLE_CAP                      1
KVM_CAP_XSAVE                           1
KVM_CAP_XCRS                            1
KVM_CAP_ASYNC_PF                        1
KVM_CAP_GET_TSC_KHZ                     1
KVM_CAP_MAX_VCPUS                       1024
KVM_CAP_TSC_DEADLINE_TIMER              1
KVM_CAP_SYNC_REGS                       7
KVM_CAP_KVMCLOCK_CTRL                   1
KVM_CAP_SIGNAL_MSI                      1
KVM_CAP_READONLY_MEM                    1
KVM_CAP_IRQFD_RESAMPLE                  1
KVM_CAP_IOAPIC_POLARITY_IGNORED         1
KVM_CAP_EXT_EMUL_CPUID                  1
KVM_CAP_ENABLE_CAP_VM                   1
KVM_CAP_IOEVENTFD_NO_LENGTH             1
KVM_CAP_CHECK_EXTENSION_VM              1
KVM_CAP_DISABLE_QUIRKS                  1
KVM_CAP_SPLIT_IRQCHIP                   1
KVM_CAP_IOEVENTFD_ANY_LENGTH            1
KVM_CAP_VCPU_ATTRIBUTES                 1
KVM_CAP_MAX_VCPU_ID                     4096
KVM_CAP_X2APIC_API                      3
KVM_CAP_IMMEDIATE_EXIT                  1
KVM_CAP_X86_DISABLE_EXITS               14
KVM_CAP_GET_MSR_FEATURES                1
KVM_CAP_MSR_PLATFORM_INFO               1
KVM_CAP_COALESCED_PIO                   1
KVM_CAP_EXCEPTION_PAYLOAD               1
KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2       3
KVM_CAP_ASYNC_PF_INT                    1
KVM_CAP_LAST_CPU                        1
KVM_CAP_STEAL_TIME                      1
KVM_CAP_X86_USER_SPACE_MSR              1
KVM_CAP_X86_MSR_FILTER                  1
KVM_CAP_ENFORCE_PV_FEATURE_CPUID        1
KVM_CAP_SET_GUEST_DEBUG2                2031619
KVM_CAP_SREGS2                          1
KVM_CAP_EXIT_ON_EMULATION_FAILURE       1
KVM_CAP_XSAVE2                          4096
KVM_CAP_SYS_ATTRIBUTES                  1
KVM_CAP_DISABLE_QUIRKS2                 127
KVM_CAP_X86_TRIPLE_FAULT_EVENT          1
"""

# Capabilities that stock has and we do not, or with another value.
CAPS_DIFFERENT = {
    "KVM_CAP_VAPIC": "TPR accesses need no patching under nested paging",
    "KVM_CAP_MMU_SHADOW_CACHE_CONTROL": "there is no limit to control",
    "KVM_CAP_PCI_SEGMENT": "belongs to devices assigned in a way that KVM gave up",
    "KVM_CAP_INTR_SHADOW": "KVM_GET_VCPU_EVENTS shows it, and KVM forgot to say so",
    "KVM_CAP_X86_SMM": "no SMM", "KVM_CAP_MULTI_ADDRESS_SPACE": "no SMM",
    "KVM_CAP_NESTED_STATE": "no nested guests",
    "KVM_CAP_PMU_EVENT_FILTER": "no virtual PMU", "KVM_CAP_PMU_CAPABILITY": "no virtual PMU",
    "KVM_CAP_DIRTY_LOG_RING": "the dirty log is it",
    "KVM_CAP_DIRTY_LOG_RING_ACQ_REL": "the dirty log is it",
    "KVM_CAP_EXIT_HYPERCALL": "no SEV", "KVM_CAP_VM_COPY_ENC_CONTEXT_FROM": "no SEV",
    "KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM": "no SEV",
    "KVM_CAP_SGX_ATTRIBUTE": "Intel's", "KVM_CAP_X86_NOTIFY_VMEXIT": "Intel's",
    "KVM_CAP_X86_BUS_LOCK_EXIT": "Intel's",
    "KVM_CAP_VM_DISABLE_NX_HUGE_PAGES": "Intel's erratum",
    "KVM_CAP_X86_DISABLE_EXITS": "MWAIT always exits",
    "KVM_CAP_HALT_POLL": "a halted vCPU sleeps at once",
    "KVM_CAP_SYSTEM_EVENT_DATA": "no system events",
    "KVM_CAP_SMALLER_MAXPHYADDR": "nested paging only",
    "KVM_CAP_XEN_HVM": "no Xen interface",
}
CAPS_DIFFERENT |= {name: "no Hyper-V interface" for name in (
    "KVM_CAP_HYPERV", "KVM_CAP_HYPERV_VAPIC", "KVM_CAP_HYPERV_SPIN", "KVM_CAP_HYPERV_TIME",
    "KVM_CAP_HYPERV_SYNIC", "KVM_CAP_HYPERV_SYNIC2", "KVM_CAP_HYPERV_VP_INDEX",
    "KVM_CAP_HYPERV_EVENTFD", "KVM_CAP_HYPERV_TLBFLUSH", "KVM_CAP_HYPERV_SEND_IPI",
    "KVM_CAP_HYPERV_CPUID", "KVM_CAP_HYPERV_ENFORCE_CPUID", "KVM_CAP_SYS_HYPERV_CPUID")}


def header_requests() -> list[str]:
    return re.findall(r"^#define\s+(KVM_\w+)[\s\\]+_IO[RW]*\(\s*KVMIO", LINUX.read_text(), re.M)


def header_capabilities() -> list[str]:
    return re.findall(r"^#define\s+(KVM_CAP_\w+)\s+\d+", LINUX.read_text(), re.M)


def foreign_types() -> list[str]:
    """Types in requests of other architectures, whose headers are not here."""
    used = set(re.findall(r"_IO[RW]*\(\s*KVMIO[^)]*struct (\w+)", LINUX.read_text()))
    known = re.findall(r"^struct (\w+) \{", LINUX.read_text() + LINUX_X86.read_text(), re.M)
    return sorted(used - set(known))


def expected_results(stats: bool = False) -> dict[tuple[str, str, str], str]:
    """(machine, file, request) to its three results; stats: with statistics as a file."""
    table = {(machine, kind, request): " ".join([REFUSED[kind]] * 3)
             for machine in ("plain", "chips") for kind in REFUSED
             for request in header_requests()}
    for line in EXPECTED.strip().splitlines():
        head, _, chips = line.partition(" | ")
        request, kind, results = head.split(None, 2)
        assert ("plain", kind, request) in table, f"{request}: not in {LINUX}"
        table["plain", kind, request] = results
        table["chips", kind, request] = chips or results
    if stats:
        table.update({(machine, kind, "KVM_GET_STATS_FD"): "fd fd fd"
                      for machine in ("plain", "chips") for kind in ("vm", "vcpu")})
    return table


def expected_capabilities() -> dict[str, str]:
    """Capability to its value; what is not listed is 0."""
    table = dict.fromkeys(header_capabilities(), "0")
    table.update(line.split() for line in CAPS_EXPECTED.strip().splitlines())
    return table


@pytest.fixture(scope="module")
def program(labs) -> Path:
    """Path, on the host and in L1, of the program, made for the host's header."""
    folder = labs.scratch / "api"
    folder.mkdir(exist_ok=True)
    (folder / "requests.h").write_text(
        "".join(f"REQUEST({name})\n" for name in header_requests())
        + "".join(f"CAPABILITY({name})\n" for name in header_capabilities()))
    (folder / "types.h").write_text(
        "".join(f"struct {name} {{ char unknown; }};\n" for name in foreign_types()))
    return programs.build(folder / "ioctls", HERE / "l1/ioctls.c", include=folder)


def answers(l1, program: Path) -> tuple[dict[tuple[str, str, str], str], dict[str, str]]:
    """Results of all requests, and of all capabilities."""
    results, capabilities = {}, {}
    for line in l1.check(f"timeout 200 {program}", timeout=240).splitlines():
        first, *rest = line.split()
        if first == "cap":
            name, dev, vm = rest
            assert dev == vm, line
            capabilities[name] = "cpus" if name == "KVM_CAP_NR_VCPUS" and int(vm) else vm
        elif rest[0] != "device":
            words = ["khz" if word.isdigit() and int(word) > 100000 else word
                     for word in rest[2:]]
            results[first, rest[0], rest[1]] = " ".join(words)
        else:
            # A device's file knows none of the others' requests; of its own there are three.
            assert "DEVICE_ATTR" in rest[1] or rest[2:] == ["ENOTTY"] * 3, line
    return results, capabilities


def wrong(found: dict, expected: dict) -> dict:
    return {key: (found.get(key), value) for key, value in expected.items()
            if found.get(key) != value}


@pytest.mark.module
def test_every_request_is_answered(l1_tree, program):
    results, capabilities = answers(l1_tree, program)
    assert not wrong(results, expected_results(capabilities[STATS] == "1"))
    assert not wrong(capabilities, expected_capabilities() | {STATS: capabilities[STATS]})


@pytest.mark.module
@pytest.mark.full
def test_stock_answers_the_same(l1_stock, program):
    results, capabilities = answers(l1_stock, program)
    differ = wrong(results, expected_results(stats=True))
    assert not {key: value for key, value in differ.items()
                if (key[2], key[1]) not in DIFFERENT}
    differ = wrong(capabilities, expected_capabilities() | {STATS: "1"})
    assert not {key: value for key, value in differ.items() if key not in CAPS_DIFFERENT}


# -- the document ---------------------------------------------------------------

def document_rows() -> dict[str, list[str]]:
    """First column of each table row in docs/api.md, without its quotes, to the others."""
    rows = {}
    for line in DOC.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `KVM_"):
            for name in cells[0].split(", "):
                assert name.strip("`") not in rows, f"{name}: twice"
                rows[name.strip("`")] = cells[1:]
    return rows


def test_the_document_has_every_request():
    rows = document_rows()
    assert not set(header_requests()) - set(rows)


def test_the_document_says_which_file_takes_it():
    rows = document_rows()
    table = expected_results()
    for request in header_requests():
        kinds = [kind for kind in REFUSED
                 if any(table[machine, kind, request] != " ".join([REFUSED[kind]] * 3)
                        for machine in ("plain", "chips"))]
        kinds = OTHER_FILES.get(request, kinds)
        assert rows[request][0].replace("-", "").split() == kinds, request


def test_the_document_has_every_error():
    """Every error that a call of the table can give stands in its row."""
    rows = document_rows()
    for (_, kind, request), results in expected_results().items():
        if kind not in rows[request][0].split() or request in OTHER_FILES:
            continue
        missing = {word for word in results.split() if word.startswith("E")}
        assert not {error for error in missing if error not in rows[request][2]}, request


def test_the_document_has_every_capability():
    rows = document_rows()
    have = {name for name, value in expected_capabilities().items() if value != "0"}
    assert not have - set(rows)
    assert not {name for name in rows if name.startswith("KVM_CAP_")} - have - {STATS}
    assert all(rows[name][0] == value for name, value in expected_capabilities().items()
               if value != "0")
