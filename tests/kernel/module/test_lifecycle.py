# SPDX-License-Identifier: GPL-2.0-only
"""Loading, running and unloading leaves nothing behind."""

import re
import shutil
import signal
import subprocess

import pytest

from unikvm.lab import modules, places

pytestmark = pytest.mark.module

LOADS = 100
GUESTS = 500

# One pass: load, run, unload. The modules are stripped copies in L1's own tmpfs.
LOOP = """
set -e
for i in $(seq {count}); do
    insmod /tmp/kvm.ko paranoid=1
    insmod /tmp/kvm-amd.ko
    {guest} 1 </dev/null
    rmmod kvm_amd
    rmmod kvm
done
"""

SNAPSHOT = """
sync; echo 3 > /proc/sys/vm/drop_caches; sleep 1; echo 3 > /proc/sys/vm/drop_caches; sleep 1
cat /proc/meminfo; echo ==; cat /proc/slabinfo
"""

# Caches that the host's own work (processes, files, the log) fills and empties.
NOISE = re.compile(r"dentry|inode|9p|fuse|filp|file|pid|cred|sighand|signal|task|vm_area|anon_vma|"
                   r"radix_tree|xarray|maple|names|kernfs|skb|sock|proc|shmem|buffer_head|bio|"
                   r"files|fs_|ext4|ovl|lsm|rcu|mnt|uts|ftrace|trace|cgroup|pool_workqueue|"
                   r"Acpi|jbd|eventpoll|fasync|seq|mm_struct|task_delay|nsproxy|numa|virtio")


@pytest.fixture(scope="module", autouse=True)
def quiet_machine(labs):
    """An L1 of this file's own: what other tests did to memory still settles for a while."""
    labs.close()


class Memory:
    """What /proc/meminfo and /proc/slabinfo say, caches dropped."""

    def __init__(self, l1):
        meminfo, slabinfo = l1.check(SNAPSHOT, timeout=60).split("==\n")
        fields = dict(line.split(":", 1) for line in meminfo.splitlines())
        self.kib = {name: int(value.split()[0]) for name, value in fields.items()}
        self.objects = {words[0]: int(words[1]) for words in
                        (line.split() for line in slabinfo.splitlines()[2:])}

    @property
    def taken(self) -> int:
        """KiB that neither are free nor come back when memory is short."""
        return (self.kib["MemTotal"] - self.kib["MemFree"] - self.kib["Cached"]
                - self.kib["Buffers"] - self.kib["SReclaimable"])

    def grown_since(self, before: "Memory", times: int) -> list[str]:
        """What grew by as much as one object (or page) for each of `times`."""
        grown = [f"{name}: {count - before.objects.get(name, 0)} objects more"
                 for name, count in self.objects.items()
                 if count - before.objects.get(name, 0) >= times and not NOISE.search(name)]
        for name in ("VmallocUsed", "Percpu", "PageTables", "KernelStack", "Mlocked"):
            if self.kib[name] - before.kib[name] >= 4 * times:
                grown.append(f"{name}: {self.kib[name] - before.kib[name]} KiB more")
        return grown


@pytest.fixture
def l1(l1_tree):
    """An L1 with the tree's modules at hand in /tmp, and none loaded afterwards."""
    build = l1_tree.check("cat /sys/module/kvm/srcversion").strip()
    yield l1_tree
    l1_tree.reload({"kvm.paranoid": "1"})
    assert l1_tree.check("cat /sys/module/kvm/srcversion").strip() == build


def stripped_modules(labs):
    built = modules.tree_modules(places.build_dir())
    for path, name in ((built.kvm, "kvm.ko"), (built.kvm_amd, "kvm-amd.ko")):
        shutil.copy(path, labs.scratch / name)
        subprocess.run(["strip", "-g", str(labs.scratch / name)], check=True)
    return labs.scratch


def load_and_unload(l1, labs, smallguest, count):
    folder = stripped_modules(labs)
    l1.check("rmmod kvm_amd kvm 2>/dev/null || true")
    l1.check(f"cp {folder}/kvm.ko {folder}/kvm-amd.ko {smallguest} /tmp")
    l1.check(LOOP.format(count=count, guest="/tmp/smallguest"), timeout=600)


@pytest.mark.timeout(900)
def test_hundred_times_load_run_unload(l1, labs, smallguest):
    """No warning in the kernel log (the fixture looks), no module left."""
    load_and_unload(l1, labs, smallguest, LOADS)
    assert l1.check("lsmod | grep -c kvm || true").strip() == "0"


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_hundred_loads_leave_no_object_behind(l1, labs, smallguest):
    load_and_unload(l1, labs, smallguest, 20)       # caches warm up
    before = Memory(l1)
    load_and_unload(l1, labs, smallguest, LOADS)
    after = Memory(l1)
    assert after.grown_since(before, LOADS) == []
    # Pages of no cache: less than eight for each load.
    assert after.taken - before.taken < 4 * LOADS * 8, "KiB of memory did not come back"


@pytest.mark.timeout(900)
def test_guests_leave_no_memory_behind(l1_tree, smallguest):
    l1_tree.check(f"{smallguest} 50 </dev/null", timeout=200)
    before = Memory(l1_tree)
    l1_tree.check(f"{smallguest} {GUESTS} </dev/null", timeout=600)
    after = Memory(l1_tree)
    assert after.grown_since(before, GUESTS) == []
    assert after.taken - before.taken < 4 * GUESTS, "as much as one page a guest did not come back"


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
