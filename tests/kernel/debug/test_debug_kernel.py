# SPDX-License-Identifier: GPL-2.0-only
"""The debug kernel: what the module's tests and the fuzzers do on it, and what it catches."""

import shutil
import subprocess
import sys

import pytest

from kernel.module.conftest import build as build_program
from lib import tree
from unikvm.lab import debugkernel, headers, modules, places
from unikvm.lab.kernellog import KernelLog, leaks
from unikvm.lab.machine import L1, L1Config

pytestmark = [pytest.mark.module, pytest.mark.full]

# Bugs put into a copy of the kernel half, in KVM_CREATE_VM; a module parameter chooses.
SEED_AT = "\tfd_install(fd, file);\n\treturn fd;\n"
SEEDS = """
	if (seed == 1) {
		char *gone = kmalloc(64, GFP_KERNEL);

		kfree(gone);
		OPTIMIZER_HIDE_VAR(gone);
		READ_ONCE(gone[8]);
	} else if (seed == 2) {
		mutex_lock(&kvm->slots_lock);
		mutex_lock(&kvm->lock);
		mutex_unlock(&kvm->lock);
		mutex_unlock(&kvm->slots_lock);
	} else if (seed == 3) {
		static DEFINE_SPINLOCK(here);

		spin_lock(&here);
		mutex_lock(&kvm->slots_lock);
		mutex_unlock(&kvm->slots_lock);
		spin_unlock(&here);
	} else if (seed == 4) {
		void *lost = kmalloc(3000, GFP_KERNEL);

		OPTIMIZER_HIDE_VAR(lost);
	}
"""
# In this order: lockdep switches itself off when KASAN has found something.
CAUGHT = {
    2: "possible circular locking dependency",
    3: "sleeping function called from invalid context",
    1: "KASAN: use-after-free",
}


@pytest.fixture(scope="module")
def debug_kernel():
    return debugkernel.kernel(print)


@pytest.fixture(scope="module")
def seeded(tmp_path_factory, debug_kernel):
    """Modules with the bugs in them."""
    root = tmp_path_factory.mktemp("seeded")
    for name in ("kernel", "include"):
        shutil.copytree(tree.ROOT / name, root / name)
    source = root / "kernel" / "vm.c"
    text = source.read_text()
    assert text.count(SEED_AT) == 1
    text = text.replace(SEED_AT, SEEDS + SEED_AT)
    head, at, rest = text.partition("/* KVM_CREATE_VM: returns a new file descriptor. */\n")
    assert at
    source.write_text(f"{head}static int seed;\nmodule_param(seed, int, 0444);\n\n{at}{rest}")
    subprocess.run([sys.executable, root / "kernel/build.py", "--source", root / "kernel",
                    "--headers", headers.find(debug_kernel.version), "--work", root / "kbuild",
                    "--out", root, "--version", "0"], check=True)
    return modules.module_files(root / "kvm.ko", root / "kvm-amd.ko")


@pytest.fixture(scope="module")
def machine(labs, debug_kernel):
    labs.close()
    with L1(L1Config(vmlinuz=debug_kernel.vmlinuz, share_rw=(labs.scratch,),
                     share=(places.cache_dir(), tree.build_dir()),
                     kernel_args=("kasan_multi_shot",))) as found:
        yield found


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", CAUGHT)
def test_a_seeded_bug_is_caught(machine, labs, seeded, seed):
    program = build_program(labs.scratch, "smallguest")
    modules.load(machine, "tree", seeded, {"kvm.seed": "0"})
    log = KernelLog(machine)
    log.fresh()
    assert machine.run([str(program), "2"]).status == 0
    assert not log.trouble(), "without a seed"
    modules.load(machine, "tree", seeded, {"kvm.seed": str(seed)})
    assert machine.run([str(program), "2"]).status == 0
    assert CAUGHT[seed] in log.trouble()


@pytest.mark.timeout(1800)
def test_a_leak_is_seen(machine, labs, seeded):
    program = build_program(labs.scratch, "smallguest")
    for seed, least in (("0", 0), ("4", 4)):
        modules.load(machine, "tree", seeded, {"kvm.seed": seed})
        machine.run("echo clear > /sys/kernel/debug/kmemleak")
        assert machine.run([str(program), "5"]).status == 0
        for unloaded in (False, True):
            if unloaded:
                modules.unload(machine)
            lost = leaks(machine)
            assert lost.count("(size 4096)") + lost.count("(size 3000)") >= least, lost
            assert least or not lost


def unikvm(*words, limit):
    done = tree.unikvm(*words, timeout=limit)
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:].decode()
    return done.stdout.decode()


@pytest.mark.timeout(7400)
def test_the_module_s_tests(labs):
    """Every test that loads the modules; a report by any checker fails the test it came in."""
    labs.close()
    out = unikvm("test", "--lab-kernel", "debug", "tests/kernel", "-m", "module and not full",
                 limit=7200)
    last = out.splitlines()[-1]
    assert " passed" in last and not any(word in last for word in ("skipped", "xfailed")), out


@pytest.mark.timeout(4200)
@pytest.mark.parametrize(("kind", "seconds", "said"), [
    ("ioctl", 1800, "each implemented request succeeded 100 times"),
    ("guest", 600, "overwritten 0 times"),
])
def test_fuzzing(labs, kind, seconds, said):
    """The verb itself fails for a report of the kernel, or a healthy guest that is not."""
    labs.close()
    out = unikvm("fuzz", kind, "--lab-kernel", "debug", "--lab-qemu", "patched", "--lab-cpus",
                 "2", "--seconds", str(seconds), "--seed", "1", limit=seconds + 1500)
    assert said in out and "all right: yes" in out
