# SPDX-License-Identifier: GPL-2.0-only
"""CPUID as one vCPU sees it, made from what KVM says it supports."""

from __future__ import annotations

from typing import Callable, Iterable

from ..core.vm import CpuidEntry

SIGNIFICANT_INDEX = 1 << 0  # KVM_CPUID_FLAG_SIGNIFCANT_INDEX

# Leaf 1 ECX
_MONITOR, _VMX, _TSC_DEADLINE, _HYPERVISOR = 1 << 3, 1 << 5, 1 << 24, 1 << 31
_HTT = 1 << 28  # leaf 1 EDX
_SVM = 1 << 2  # leaf 0x80000001 ECX
_CMP_LEGACY = 1 << 1
_TOPOLOGY_SMT, _TOPOLOGY_CORE = 1, 2


def for_vcpu(
    supported: Iterable[CpuidEntry], *, cpu: int, cpus: int, tsc_deadline: bool
) -> list[CpuidEntry]:
    """The entries for vCPU number `cpu` of `cpus`.

    `tsc_deadline`: whether KVM has the capability; the supported list never says so.
    Nested virtualization is taken out (no SVM, no VMX): the machine model saves no
    nested state.
    """
    supported = list(supported)
    result = _topology(supported, cpu, cpus)
    for entry in supported:
        fix = _FIXES.get(entry.function)
        if fix is None:
            result.append(entry)
        elif (fixed := fix(entry, cpu, cpus)) is not None:
            result.append(fixed)
    if tsc_deadline:
        result = [_with_deadline(entry) for entry in result]
    return result


def _with_deadline(entry: CpuidEntry) -> CpuidEntry:
    return entry._replace(ecx=entry.ecx | _TSC_DEADLINE) if entry.function == 1 else entry


def _features(entry: CpuidEntry, cpu: int, cpus: int) -> CpuidEntry:
    ebx = entry.ebx & 0x0000_FFFF | cpu << 24 | min(cpus, 255) << 16
    ecx = entry.ecx & ~(_MONITOR | _VMX) | _HYPERVISOR
    edx = entry.edx | _HTT if cpus > 1 else entry.edx & ~_HTT
    return entry._replace(ebx=ebx, ecx=ecx, edx=edx)


def _intel_caches(entry: CpuidEntry, cpu: int, cpus: int) -> CpuidEntry:
    """Leaf 4: as many cores a package as there are vCPUs, each cache private."""
    if entry.eax & 0x1F == 0:
        return entry
    return entry._replace(eax=entry.eax & 0x3FFF | (cpus - 1 & 0x3F) << 26)


def _topology(supported: list[CpuidEntry], cpu: int, cpus: int) -> list[CpuidEntry]:
    """Leaf 0xb (SDM vol.2 CPUID): one thread a core, all cores in one package.

    Made anew where KVM has the leaf at all: it lists levels of the host, or none.
    """
    if not any(entry.function == 0xB for entry in supported):
        return []
    bits = (cpus - 1).bit_length()
    levels = ((0, 1, _TOPOLOGY_SMT << 8), (bits, cpus, _TOPOLOGY_CORE << 8 | 1), (0, 0, 2))
    return [
        CpuidEntry(0xB, index, SIGNIFICANT_INDEX, *level, cpu)
        for index, level in enumerate(levels)
    ]


def _amd_features(entry: CpuidEntry, cpu: int, cpus: int) -> CpuidEntry:
    ecx = entry.ecx & ~(_SVM | _CMP_LEGACY)
    return entry._replace(ecx=ecx | _CMP_LEGACY if cpus > 1 else ecx)


def _amd_sizes(entry: CpuidEntry, cpu: int, cpus: int) -> CpuidEntry:
    """Leaf 0x80000008 ECX: threads minus one, and how many APIC id bits they take."""
    bits = (cpus - 1).bit_length()
    return entry._replace(ecx=entry.ecx & ~0xF0FF | (cpus - 1 & 0xFF) | bits << 12)


def _amd_caches(entry: CpuidEntry, cpu: int, cpus: int) -> CpuidEntry:
    """Leaf 0x8000001d: the last level (3) is the package's, the others a core's own."""
    if entry.eax & 0x1F == 0:
        return entry
    sharing = cpus - 1 if entry.eax >> 5 & 7 == 3 else 0
    return entry._replace(eax=entry.eax & 0x3FFF | (sharing & 0xFFF) << 14)


def _amd_ids(entry: CpuidEntry, cpu: int, cpus: int) -> CpuidEntry:
    """Leaf 0x8000001e: APIC id, core id with one thread a core, node 0 of one."""
    return entry._replace(eax=cpu, ebx=cpu & 0xFF, ecx=0, edx=0)


def _dropped(entry: CpuidEntry, cpu: int, cpus: int) -> None:
    return None


_FIXES: dict[int, Callable[[CpuidEntry, int, int], CpuidEntry | None]] = {
    0x1: _features,
    0x4: _intel_caches,
    0xB: _dropped,  # see _topology()
    0x1F: _dropped,  # die topology of the host
    0x8000_0001: _amd_features,
    0x8000_0008: _amd_sizes,
    0x8000_000A: _dropped,  # SVM revision and features
    0x8000_001D: _amd_caches,
    0x8000_001E: _amd_ids,
}
