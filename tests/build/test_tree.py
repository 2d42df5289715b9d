# SPDX-License-Identifier: GPL-2.0-only
"""Facts about the tree: licences, the list of sources, the CI entry."""

import os
import re
import tomllib

import pytest

from lib import tree

pytestmark = pytest.mark.unit

# Files that carry no comment, or whose text is not ours.
NO_SPDX = re.compile(r"^LICENSES/|^LICENSE$|\.json$|\.patch$|^firmware/patches/|\.bin$")
SPDX = re.compile(r"SPDX-License-Identifier: (.+?)(?:\s*(?:\*/|-->))?\s*$")
ALLOWED = {"GPL-2.0-only", "LGPL-3.0-only", "GPL-2.0-only WITH Linux-syscall-note",
           "(GPL-2.0-only WITH Linux-syscall-note)"}


def licence_of(path):
    """The identifier in the first lines (the second, below an interpreter line)."""
    with open(path, encoding="utf-8", errors="replace") as file:
        head = [file.readline() for _ in range(2)]
    for line in head[:2 if head[0].startswith("#!") else 1]:
        found = SPDX.search(line)
        if found:
            return found.group(1)
    return None


def test_every_file_states_its_licence():
    files = tree.tracked_files()
    assert len(files) > 60
    bad = []
    for path in files:
        name = str(path.relative_to(tree.ROOT))
        licence = None if NO_SPDX.search(name) else licence_of(path)
        if not NO_SPDX.search(name) and licence not in ALLOWED:
            bad.append(f"{name}: {licence}")
    assert not bad


def test_uapi_headers_carry_the_note():
    headers = list((tree.ROOT / "include" / "uapi").rglob("*.h"))
    assert headers
    for path in headers:
        assert "Linux-syscall-note" in (licence_of(path) or ""), path


def test_licence_texts_are_there():
    for name in ("GPL-2.0-only", "LGPL-3.0-only", "GPL-3.0-only"):
        assert (tree.ROOT / "LICENSES" / f"{name}.txt").stat().st_size > 5000
    assert "Linux-syscall-note" in (tree.ROOT / "LICENSES" / "Linux-syscall-note.txt").read_text()


def test_every_source_is_installed():
    """A source that meson.build forgets would be missing from the package."""
    site = tree.build_dir() / "site" / "unikvm"
    missing = []
    for path in tree.PACKAGE.rglob("*"):
        name = path.relative_to(tree.PACKAGE)
        if "__pycache__" in name.parts or path.is_dir():
            continue
        if path.suffix == ".pyx":
            if not list((site / name).parent.glob(f"{path.stem}.*.so")):
                missing.append(str(name))
        elif path.suffix in (".py", ".pxd", ".pyi", ".sh") and not (site / name).exists():
            missing.append(str(name))
    assert not missing


def test_nothing_is_installed_that_is_no_source():
    site = tree.build_dir() / "site" / "unikvm"
    extra = [str(path.relative_to(site)) for path in site.rglob("*.py")
             if not (tree.PACKAGE / path.relative_to(site)).exists()]
    assert not extra


def test_continuous_integration_runs_the_documented_command():
    script = tree.ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "exec ./unikvm test" in script.read_text()


def test_front_door_runs_on_the_standard_library_alone():
    text = (tree.ROOT / "unikvm").read_text()
    assert text.startswith("#!/usr/bin/env python3\n") and os.access(tree.ROOT / "unikvm", os.X_OK)
    names = set(re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE))
    import sys
    assert names <= set(sys.stdlib_module_names)


def test_pytest_tolerates_no_warning():
    with open(tree.ROOT / "pyproject.toml", "rb") as file:
        options = tomllib.load(file)["tool"]["pytest"]["ini_options"]
    assert options["filterwarnings"] == ["error"] and options["xfail_strict"]
    assert {"--strict-markers", "--strict-config"} <= set(options["addopts"])


def test_no_file_names_somebody_s_machine():
    # Spelt apart, or this file would find itself.
    words = re.compile("|".join(("/" + "home/[a-z]", "/" + "root/\\.", "deb\\.debian" + "\\.org")))
    bad = []
    for path in tree.tracked_files():
        if path.suffix in (".py", ".pyx", ".c", ".h", ".S", ".sh", ".md", ".build", ""):
            text = path.read_text(encoding="utf-8", errors="replace")
            bad += [f"{path.relative_to(tree.ROOT)}: {hit}" for hit in words.findall(text)]
    assert not bad
