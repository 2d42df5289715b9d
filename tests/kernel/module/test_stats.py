# SPDX-License-Identifier: GPL-2.0-only
"""The statistics file against debugfs, and both against a guest of known exits."""

import errno
import json
import re
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.module

# Those of any architecture, with the kinds KVM gives them.
GENERIC = {
    **{name: ("cumulative", "none", 0, 1) for name in
       ("halt_successful_poll", "halt_attempted_poll", "halt_poll_invalid", "halt_wakeup")},
    **{name: ("cumulative", "seconds", -9, 1) for name in
       ("halt_poll_success_ns", "halt_poll_fail_ns", "halt_wait_ns")},
    **{name: ("log", "seconds", -9, 32) for name in
       ("halt_poll_success_hist", "halt_poll_fail_hist", "halt_wait_hist")},
    "blocking": ("instant", "boolean", 0, 1),
}


@pytest.fixture
def found(l1_tree, labs):
    script = labs.scratch / "stats.py"
    shutil.copy(Path(__file__).with_name("stats.py"), script)
    return json.loads(l1_tree.check(f"python3 {script} </dev/null", timeout=60))


def single(file) -> dict[str, int]:
    return {name: stat["values"][0] for name, stat in file["stats"].items()
            if len(stat["values"]) == 1}


def test_statistics(found):
    vm, vcpu, pid = found["vm"], found["vcpu"], found["pid"]
    assert found["capability"] == 1
    assert (vm["id"], vcpu["id"]) == (f"kvm-{pid}", f"kvm-{pid}/vcpu-0")

    kinds = {name: (s["type"], s["unit"], s["exponent"], len(s["values"]))
             for name, s in vcpu["stats"].items()}
    assert GENERIC.items() <= kinds.items()
    assert all(s["base"] == 0 and s["bucket"] == 0
               for s in [*vm["stats"].values(), *vcpu["stats"].values()])

    # The guest: CPUID, two OUTs, and the faults that brought its pages.
    values = single(vcpu)
    assert (values["cpuid_exits"], values["io_exits"]) == (1, 2)
    assert values["exits"] == 3 + values["pf_taken"] + values["irq_exits"]
    assert values["pf_taken"] >= 1 and values["blocking"] == 0
    assert single(vm)["pages_4k"] >= 1 and single(vm)["pages_2m"] == 0

    assert found["debugfs vcpu"] == values
    assert found["debugfs vm"] == {**single(vm), **values}
    assert found["debugfs"].keys() == found["debugfs vm"].keys()
    assert all(total >= found["debugfs vm"][name] for name, total in found["debugfs"].items())

    # A slot that goes takes its pages along, and flushes.
    after = single(found["vm without memory"])
    assert after["pages_4k"] == 0
    assert after["remote_tlb_flush_requests"] > single(vm)["remote_tlb_flush_requests"]

    # The vCPU's file alone keeps everything alive; afterwards the totals keep the sum.
    assert single(found["vcpu closed"]) == values
    assert "in use" in found["rmmod"]
    assert found["folders"] == 0
    assert found["debugfs afterwards"]["cpuid_exits"] == found["debugfs"]["cpuid_exits"]


def test_the_file_is_read_only_and_seeks(found):
    assert found["write"] == errno.EBADF
    assert found["seek"] == [24, found["vm"]["size"], errno.EINVAL]
    assert found["past the end"] == 0
    assert found["whole"] == [found["vcpu"]["size"], True]


def test_waiting_is_counted(found):
    status, stats = found["halted"]
    assert status == errno.EINTR
    waited = single(stats)
    assert waited["halt_exits"] == waited["halt_wakeup"] == 1
    assert 50_000_000 < waited["halt_wait_ns"] < 60_000_000_000
    buckets = stats["stats"]["halt_wait_hist"]["values"]
    assert sum(buckets) == 1
    # Bucket n counts 2^(n-1) to 2^n - 1, the last one all above (KVM_STATS_TYPE_LOG_HIST).
    assert buckets[min(waited["halt_wait_ns"].bit_length(), len(buckets) - 1)] == 1


def test_debugfs_has_no_histograms(l1_tree):
    assert not re.search("hist", l1_tree.check("ls /sys/kernel/debug/kvm"))
