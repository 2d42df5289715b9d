# SPDX-License-Identifier: GPL-2.0-only
"""Who may depend on whom, cimports included; and the C rings' includes."""

import ast
import re

import pytest

from lib.tree import PACKAGE, ROOT

pytestmark = pytest.mark.unit

# A package imports only from those in the ranks below its own; siblings as named.
RANKS = [["abi"], ["core"], ["boot", "virtio", "hw", "pci", "block", "net"], ["machine"],
         ["lab"], ["cli"]]
SIBLINGS = {"virtio": {"pci", "block", "net"}}
# The exceptions that every layer may raise hold nothing else.
OPEN_TO_ALL: set[str] = set()

_CIMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import|c?import\s+([\w.]+(?:\s*,\s*[\w.]+)*))",
                      re.MULTILINE)


def rank_of(package):
    for rank, names in enumerate(RANKS):
        if package in names:
            return rank
    raise AssertionError(f"package unikvm/{package} has no place in the layers")


def absolute(module, package_path, level):
    """A relative import's absolute name."""
    if not level:
        return module or ""
    base = ["unikvm", *package_path][:len(package_path) + 2 - level]
    return ".".join([*base, *([module] if module else [])])


def python_imports(path, package_path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node.module, package_path, node.level)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def cython_imports(path, package_path):
    text = re.sub(r'""".*?"""', "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for found in _CIMPORT.finditer(text):
        if found.group(1):
            name = found.group(1)
            level = len(name) - len(name.lstrip("."))
            rest = text[found.end():text.find("\n", found.end())]
            base = absolute(name.lstrip("."), package_path, level)
            yield from (f"{base}.{word.split()[0]}" for word in
                        re.sub(r"[()]", "", rest).split(",") if word.strip())
        else:
            yield from (word.strip() for word in found.group(2).split(","))


def imports(path):
    """Absolute names of what a file imports or cimports."""
    package_path = path.relative_to(PACKAGE).parts[:-1]
    reader = python_imports if path.suffix == ".py" else cython_imports
    return set(reader(path, package_path))


def violations(path):
    package = path.relative_to(PACKAGE).parts[0]
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "unikvm" or len(parts) < 2:
            continue
        other = parts[1]
        if not (PACKAGE / other).is_dir() or other == package or other in OPEN_TO_ALL:
            continue
        if rank_of(other) < rank_of(package) or other in SIBLINGS.get(package, ()):
            continue
        yield f"{path.relative_to(ROOT)} imports {name}"


def sources():
    return [path for path in sorted(PACKAGE.rglob("*"))
            if path.suffix in (".py", ".pyx", ".pxd") and path.parent != PACKAGE]


def test_no_upward_import():
    files = sources()
    assert len(files) > 40
    assert [line for path in files for line in violations(path)] == []


@pytest.mark.parametrize("suffix,text", [
    (".py", "from unikvm.machine import builder\n"), (".py", "from ..lab import modules\n"),
    (".py", "import unikvm.cli.run\n"), (".pyx", "from unikvm.machine cimport x\n"),
    (".pxd", "from ..hw.serial cimport Serial\n"), (".pyx", "cimport unikvm.virtio.worker\n"),
    (".py", "def late():\n    from unikvm.boot import layout\n")])
def test_an_upward_import_is_seen(suffix, text, tmp_path, monkeypatch):
    core = tmp_path / "core"
    core.mkdir()
    (core / f"x{suffix}").write_text(text)
    for name in ("machine", "lab", "cli", "hw", "virtio", "boot"):
        (tmp_path / name).mkdir()
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert len(list(violations(core / f"x{suffix}"))) == 1


def c_includes(folder, pattern="**/*.[chS]"):
    for path in sorted((ROOT / folder).glob(pattern)):
        for name in re.findall(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]',
                               path.read_text(encoding="utf-8"), re.MULTILINE):
            yield path, name


def test_kernel_and_tools_meet_only_in_the_abi():
    bad = [f"{path.relative_to(ROOT)}: {name}" for path, name in c_includes("kernel")
           if "tools/" in name]
    for path in sources():
        text = path.read_text(encoding="utf-8")
        bad += [f"{path.relative_to(ROOT)}" for _ in re.findall(r"kernel/[\w/]+\.[chS]\b", text)]
    assert not bad


def test_svm_and_vmx_do_not_know_each_other():
    for vendor, other in (("svm", "vmx"), ("vmx", "svm")):
        bad = [f"{path}: {name}" for path, name in c_includes(f"kernel/x86/{vendor}")
               if f"{other}/" in name or name.startswith(other)]
        assert not bad


def test_the_front_ring_is_free_of_x86():
    front = {path.name for path in (ROOT / "kernel").glob("*.c")}
    assert front
    bad = [f"{path.relative_to(ROOT)}: {name}" for path, name in c_includes("kernel", "*.c")
           if name.startswith("asm/") or name.startswith("x86/svm")]
    assert not bad
