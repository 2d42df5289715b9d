# SPDX-License-Identifier: GPL-2.0-only
"""The commands a user types, from end to end, and the proof of where things ran."""

import os
import re
import shutil
import uuid
from pathlib import Path

import pytest

from lib import tree
from unikvm.lab import kernels, modules

pytestmark = [pytest.mark.boot, pytest.mark.module]


def summary(result):
    """The closing lines of a run, as name -> text."""
    found = {}
    for line in result.stderr.decode().splitlines():
        name, colon, text = line.removeprefix("unikvm: ").partition(": ")
        if line.startswith("unikvm: ") and colon:
            found[name] = text
    return found


@pytest.fixture(autouse=True)
def room_for_another_machine(labs):
    """These commands boot machines of their own."""
    labs.close()


def test_the_command_s_output_and_nothing_else():
    run = tree.unikvm("run", "--exec", "uname -r; grep -c ^processor /proc/cpuinfo")
    assert run.returncode == 0, run.stderr.decode()
    guest = kernels.resolve(None, kernels.DEFAULT_L2).version
    assert run.stdout == f"{guest}\n1\n".encode()
    lines, built = summary(run), modules.tree_modules(tree.build_dir())
    assert guest.startswith("6.12") and guest != built.kernel
    assert lines["guest kernel"] == guest
    assert lines["where"] == f"lab, L1 kernel {built.kernel}"
    assert lines["half"] == f"tree (kvm {built.version}, srcversion {built.srcversion})"
    assert re.search(r"SeaBIOS \S*unikvm\S*, sha256 [0-9a-f]{64}$", lines["firmware"])
    for phase in ("booting the lab machine", "booting the guest", "command"):
        assert re.search(rf"{phase} \d+\.\d s", lines["time"])


def test_four_cpus():
    """Each was woken (nproc counts those online) and takes timer interrupts."""
    run = tree.unikvm("run", "--cpus", "4", "--exec", "nproc; grep LOC: /proc/interrupts >&2")
    assert run.returncode == 0, run.stderr.decode()
    assert run.stdout == b"4\n"
    counts = re.search(rb"^ *LOC:((?: +\d+){4}) ", run.stderr, re.MULTILINE)
    assert counts and all(int(count) for count in counts[1].split()), run.stderr.decode()


def test_the_command_s_status_and_both_streams():
    run = tree.unikvm("run", "--stdin", "--exec",
                      "sha256sum; printf 'a\\nb\\r\\n\\000\\377'; echo oops >&2; exit 7",
                      stdin=bytes(range(256)) * 64)
    assert run.returncode == 7, run.stderr.decode()
    digest, _, rest = run.stdout.partition(b"  -\n")
    import hashlib
    assert digest.decode() == hashlib.sha256(bytes(range(256)) * 64).hexdigest()
    assert rest == b"a\nb\r\n\0\xff"
    assert b"\noops\n" in run.stderr


@pytest.mark.parametrize("half", ["stock", "tree"])
@pytest.mark.parametrize("boot", ["firmware", "direct"])
def test_each_half_boots_each_way(half, boot):
    run = tree.unikvm("run", "--half", half, "--boot", boot, "--exec", "true")
    assert run.returncode == 0, run.stderr.decode()
    lines = summary(run)
    assert run.stdout == b"" and lines["half"].startswith(half)
    assert (lines["firmware"] == "not used") == (boot == "direct")


def test_where_things_run():
    """Three kernels with three boot ids, and the module's counters grow by a boot."""
    env_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    counters = "cat /sys/kernel/debug/kvm/exits /sys/module/kvm/srcversion"
    # The VMM in L1, with a look at the machine before and after.
    guest = kernels.resolve(None, kernels.DEFAULT_L2).vmlinuz
    script = (f"cat /proc/sys/kernel/random/boot_id; {counters}; "
              f"{os.sys.executable} -m unikvm run --on host --kernel {guest} --exec "
              f"'cat /proc/sys/kernel/random/boot_id' 2>/tmp/err; echo status $?; {counters}; "
              "cat /tmp/err >&2")
    env = (f"export PYTHONPATH={os.environ['PYTHONPATH']} UNIKVM_BUILD={tree.build_dir()} "
           f"UNIKVM_CACHE=/tmp/cache; mkdir -p /tmp/cache; "
           f"ln -s {tree.cache()}/kernels {tree.cache()}/initramfs /tmp/cache; ")
    run = tree.unikvm("lab", "--timeout", "300", "--", env + script)
    assert run.returncode == 0, run.stderr.decode()
    l1_id, before, source, l2_id, status, after, source_after = run.stdout.decode().splitlines()
    for each in (l1_id, l2_id):
        uuid.UUID(each)
    assert len({env_id, l1_id, l2_id}) == 3
    assert status == "status 0", run.stderr.decode()
    assert int(after) > int(before) + 1000
    assert source == source_after == modules.tree_modules(tree.build_dir()).srcversion


def test_lab_shows_our_modules():
    run = tree.unikvm("lab", "--", "lsmod; cat /sys/module/kvm/version; exit 6")
    assert run.returncode == 6, run.stderr.decode()
    names = [line.split()[0] for line in run.stdout.decode().splitlines()]
    assert {"kvm", "kvm_amd"} <= set(names)
    assert names[-1] == modules.tree_modules(tree.build_dir()).version


@pytest.mark.parametrize("name", ["kvm.ko", "kvm-amd.ko"])
def test_a_broken_tree_module_fails_the_tree_half(name, tmp_path):
    """Proof that --half tree uses the tree's modules."""
    broken = tmp_path / "build"
    (broken / "kernel").mkdir(parents=True)
    for each in ("kvm.ko", "kvm-amd.ko"):
        shutil.copy(tree.build_dir() / "kernel" / each, broken / "kernel" / each)
    data = (broken / "kernel" / name).read_bytes()
    # A symbol that no kernel has: the loader refuses, modinfo still reads it.
    damaged = data.replace(b"\0module_put\0", b"\0module_pux\0").replace(
        b"\0__fentry__\0", b"\0__fentrx__\0")
    assert damaged != data
    (broken / "kernel" / name).write_bytes(damaged)
    run = tree.unikvm("run", "--half", "tree", "--exec", "true",
                      env={"UNIKVM_BUILD": str(broken)})
    assert run.returncode == 1
    assert f"cannot load the tree's {name} in L1" in tree.one_line(run.stderr)


def test_a_guest_that_panics_before_init_says_where(tmp_path):
    run = tree.unikvm("run", "--append", "rdinit=/none root=/dev/none", "--exec", "true")
    assert run.returncode == 255
    err = run.stderr.decode()
    assert "the guest never reached init" in err and "Kernel panic - not syncing" in err


def test_a_guest_that_dies_later():
    run = tree.unikvm("run", "--exec", "echo up; echo b >/proc/sysrq-trigger; sleep 100")
    assert run.returncode == 255 and run.stdout == b"up\n"
    assert "the guest died (reset" in run.stderr.decode()


def test_a_command_that_runs_too_long():
    run = tree.unikvm("run", "--timeout", "3", "--exec", "sleep 1000")
    assert run.returncode == 1
    assert "stopped after 3 s (--timeout)" in run.stderr.decode()
