# SPDX-License-Identifier: GPL-2.0-only
"""What a build does the second time, and what a change rebuilds."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lib import payload, tinykernel, tree
from unikvm.lab import LabError
from unikvm.lab import tree as builder

pytestmark = pytest.mark.unit


def ninja(*words):
    """Ninja in the build directory; its output."""
    done = subprocess.run([sys.executable, "-m", "ninja", "-C", str(tree.build_dir()), *words],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextlib.contextmanager
def touched(path):
    """A file that looks changed, and afterwards looks as before."""
    found = path.stat()
    if os.geteuid() not in (0, found.st_uid):
        pytest.skip(f"{path} belongs to somebody else")
    os.utime(path)
    try:
        yield
    finally:
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def would_run():
    """The commands a compile would run now."""
    return [line for line in ninja("-n", "-v").splitlines() if line.startswith("[")]


@pytest.fixture
def settled():
    """A build with nothing left to do, or these tests say nothing."""
    if would_run():
        ninja()


def test_a_second_compile_does_nothing(settled):
    assert "no work to do" in ninja()


def test_a_kernel_source_rebuilds_the_modules_only(settled):
    if not (tree.build_dir() / "kernel" / "kvm.ko").exists():
        pytest.skip("built without kernel modules")
    # One that only the modules compile; the pure logic has a host library as well.
    with touched(tree.ROOT / "kernel" / "main.c"):
        commands = would_run()
    assert commands and all("kernel" in line for line in commands), commands
    assert any("kvm.ko" in line or "Kbuild" in line or "kvm-amd" in line for line in commands)


def test_a_cython_source_rebuilds_no_module_and_no_firmware(settled):
    with touched(tree.PACKAGE / "core" / "bus.pyx"):
        commands = would_run()
    assert commands and any("bus" in line for line in commands)
    assert not any("kvm.ko" in line or "bios.bin" in line for line in commands)


def test_our_c_is_built_with_warnings_as_errors():
    import json
    commands = json.loads((tree.build_dir() / "compile_commands.json").read_text())
    ours = [each for each in commands if Path(each["file"]).suffix == ".c"
            and str(tree.ROOT) in str((Path(each["directory"]) / each["file"]).resolve())
            and not Path(each["directory"], each["file"]).resolve().is_relative_to(
                tree.build_dir())]
    assert ours
    for each in ours:
        for flag in ("-Wall", "-Wextra", "-Werror"):
            assert flag in each["command"].split(), each["file"]


def test_payload_guests_are_part_of_the_build():
    """Every one, linked where the tests expect it."""
    loads = {"boot_sector": 0x7C00, "tiny_kernel": tinykernel.LOAD}
    sources = sorted((tree.ROOT / "tests" / "tools" / "payloads").glob("*.S"))
    assert sources
    for source in sources:
        built = (tree.build_dir() / "tests" / f"{source.stem}.bin").read_bytes()
        assert built == payload.assemble(source.stem, loads.get(source.stem, payload.LOAD))


def test_fingerprint_follows_every_kind_of_source(tmp_path):
    root = tmp_path / "tree"
    (root / "kernel").mkdir(parents=True)
    source = root / "kernel" / "main.c"
    source.write_text("int x;\n")
    before = builder.fingerprint(root)
    assert builder.fingerprint(root) == before
    source.write_text("int y; \n")
    changed = builder.fingerprint(root)
    (root / "kernel" / "new.c").write_text("")
    assert len({before, changed, builder.fingerprint(root)}) == 3


def test_a_failing_step_names_its_error_and_log(tmp_path):
    log = tmp_path / "log"
    code = "print('fine'); print('x.c:1: error: no such thing'); raise SystemExit(1)"
    with pytest.raises(LabError) as caught:
        builder.run_step("compiling", [sys.executable, "-c", code], log)
    assert str(caught.value) == f"compiling failed: x.c:1: error: no such thing; log: {log}"


def test_a_tree_of_somebody_else_is_built_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("UNIKVM_BUILD", raising=False)
    monkeypatch.setenv("UNIKVM_CACHE", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert builder.build_dir_for(Path("/elsewhere")).parent == tmp_path
    monkeypatch.setattr(os, "access", lambda *_: True)
    assert builder.build_dir_for(Path("/elsewhere")) == Path("/elsewhere/build")
