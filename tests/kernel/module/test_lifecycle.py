# SPDX-License-Identifier: GPL-2.0-only
"""A killed VMM leaves nothing behind, and a module in use stays."""

import signal

import pytest

pytestmark = pytest.mark.module


def test_a_killed_vmm_frees_everything(l1_tree, smallguest):
    """SIGKILL at any moment: no VM is left, and the modules can go."""
    l1_tree.check(f"""
        for i in $(seq 30); do
            {smallguest} 1000 </dev/null & pid=$!
            sleep 0.0$((RANDOM % 10))$((RANDOM % 10))
            kill -{signal.SIGKILL.value} $pid; wait $pid || true
        done""", timeout=200)
    assert l1_tree.check("ls -d /sys/kernel/debug/kvm/[0-9]* 2>/dev/null | wc -l").strip() == "0"
    assert l1_tree.check("cat /sys/module/kvm_amd/refcnt").strip() == "0"
    l1_tree.reload({"kvm.paranoid": "1"})


def test_the_module_stays_while_a_vcpu_mapping_is_left(l1_tree, labs):
    """rmmod is refused with EBUSY for as long as any file or mapping of a VM lives."""
    holder = labs.scratch / "holder.py"
    holder.write_text(HOLDER)
    out = l1_tree.check(f"python3 {holder} </dev/null", timeout=100)
    assert out.split() == ["vm", "busy", "vcpu", "busy", "mapping", "busy", "nothing", "free"]
    l1_tree.reload({"kvm.paranoid": "1"})


HOLDER = '''
import fcntl, mmap, os, subprocess
def state(what):
    done = subprocess.run(["rmmod", "kvm_amd"], capture_output=True, text=True)
    print(what, "free" if done.returncode == 0 else
          "busy" if "in use" in done.stderr else done.stderr)
kvm = os.open("/dev/kvm", os.O_RDWR)
vm = fcntl.ioctl(kvm, 0xAE01, 0)
os.close(kvm)
state("vm")
vcpu = fcntl.ioctl(vm, 0xAE41, 0)
os.close(vm)
state("vcpu")
mapping = mmap.mmap(vcpu, 4096)
os.close(vcpu)
state("mapping")
mapping.close()
state("nothing")
'''
