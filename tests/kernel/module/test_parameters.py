# SPDX-License-Identifier: GPL-2.0-only
"""Module parameters under the names that tools read, and true; when udev loads the module."""

import pytest

from unikvm.lab import modules

from lib import tree

pytestmark = pytest.mark.module

# What QEMU, libvirt, KVM's selftests and distributions' scripts look for.
FIXED = {
    "kvm": {"halt_poll_ns": "0", "halt_poll_ns_grow": "0", "halt_poll_ns_grow_start": "0",
            "halt_poll_ns_shrink": "0", "tdp_mmu": "Y", "nx_huge_pages": "N",
            "eager_page_split": "N", "enable_pmu": "N", "enable_vmware_backdoor": "N",
            "force_emulation_prefix": "0", "vector_hashing": "Y", "ignore_msrs": "N",
            "report_ignored_msrs": "Y"},
    "kvm_amd": {"npt": "Y", "nested": "0", "avic": "N", "vgif": "0", "vnmi": "N", "lbrv": "0",
                "sev": "N", "sev_es": "N", "sev_snp": "N", "tsc_scaling": "0"},
}


def values(l1, module: str) -> dict[str, str]:
    out = l1.check(f"cd /sys/module/{module}/parameters; grep . *")
    return dict(line.split(":", 1) for line in out.splitlines())


def test_the_processor_s_feature_loads_it():
    """SVM, CPUID 8000_0001h ecx bit 2: word 6 of Linux's features."""
    alias = modules.modinfo(tree.build_dir() / "kernel/kvm-amd.ko", "alias")
    assert alias.strip() == f"cpu:type:x86,ven*fam*mod*:feature:*{6 * 32 + 2:04X}*"


def test_values(l1_tree):
    for module, expected in FIXED.items():
        assert expected.items() <= values(l1_tree, module).items()
    has_nrips = " nrip_save " in l1_tree.check("grep -m1 ^flags /proc/cpuinfo") + " "
    assert values(l1_tree, "kvm_amd")["nrips"] == str(int(has_nrips))


def test_another_value_is_refused_but_loads(l1_tree):
    """A modprobe.d file with nested=1 must not keep KVM away."""
    try:
        l1_tree.reload({"kvm_amd.nested": "1", "kvm_amd.npt": "0", "kvm.halt_poll_ns": "200000"})
        assert values(l1_tree, "kvm_amd")["nested"] == "0"
        assert values(l1_tree, "kvm_amd")["npt"] == "Y"
        assert values(l1_tree, "kvm")["halt_poll_ns"] == "0"
        assert 'parameter nested is fixed: "1" ignored' in l1_tree.check("dmesg")
    finally:
        l1_tree.reload({"kvm.paranoid": "1"})
