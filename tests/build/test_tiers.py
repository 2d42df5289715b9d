# SPDX-License-Identifier: GPL-2.0-only
"""The test harness itself: tiers, resuming a full run, what becomes of a wedge."""

import os
import subprocess
import sys

import pytest

from lib.tree import ROOT

pytestmark = pytest.mark.unit

INI = """[pytest]
pythonpath = {root}/tests
addopts = --strict-markers --import-mode=importlib
markers =
    unit: x
    kvm: x
    module: x
    boot: x
    slow: x
    full: x
"""

TIERED = """import pytest
def test_plain(): pass
@pytest.mark.module
def test_module(): pass
@pytest.mark.slow
def test_slow(): pass
@pytest.mark.full
def test_full(): pass
"""

WEDGES = """import pytest
from unikvm.lab.machine import L1Wedged
@pytest.mark.module
def test_tree_only(labs):
    if not labs.force_stock:
        raise L1Wedged("no answer")
@pytest.mark.module
def test_both(labs):
    raise L1Wedged("no answer")
@pytest.mark.module
def test_fine(labs):
    assert not labs.force_stock
"""


@pytest.fixture
def suite(tmp_path):
    """A folder of tests run by the tree's conftest; call it with a tier."""
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "pytest.ini").write_text(INI.format(root=ROOT))
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())

    def run(tier, part="", **files):
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", f"--tier={tier}",
             f"{folder}{part}"], cwd=folder, capture_output=True, text=True, check=False,
            env=dict(os.environ, UNIKVM_CACHE=str(tmp_path / "cache")))
        return done.stdout

    return run


@pytest.mark.parametrize("tier,names", [
    ("quick", {"test_plain"}), ("default", {"test_plain", "test_module", "test_slow"}),
    ("full", {"test_plain", "test_module", "test_slow", "test_full"})])
def test_a_tier_takes_what_it_should(suite, tier, names):
    out = suite(tier, test_x=TIERED)
    assert {line.split("::")[1].split()[0] for line in out.splitlines()
            if "PASSED" in line} == names
    assert f"{len(names)} passed" in out.splitlines()[-1]


def test_a_full_run_goes_on_where_it_stopped(suite):
    good = "def test_a(): pass\n"
    bad = "def test_b(): assert 0\n"
    first = suite("full", test_good=good, test_bad=bad)
    assert "1 failed, 1 passed" in first
    # Only the group that failed, now mended, runs again.
    second = suite("full", test_bad=bad.replace("0", "1"))
    assert "1 passed, 1 deselected" in second and "test_b PASSED" in second


def test_part_of_a_file_is_not_the_file(suite):
    two = "def test_a(): pass\ndef test_b(): pass\n"
    assert "1 passed" in suite("full", "/test_two.py::test_a", test_two=two)
    assert "2 passed" in suite("full", test_two=two)


def test_a_full_run_forgets_no_other(suite):
    """What another run writes while this one is at work stays."""
    beside = ("import pathlib, os\ndef test_a():\n"
              "    [state] = pathlib.Path(os.environ['UNIKVM_CACHE']).glob('full-*.json')\n"
              "    state.write_text('[\"test_other.py\"]')\n")
    suite("full", test_first="def test_a(): pass\n")
    suite("full", test_beside=beside)
    assert "1 passed, 3 deselected" in suite("full", test_other="def test_a(): pass\n",
                                             test_last="def test_a(): pass\n")


def test_a_wedge_fails_and_is_labelled(suite):
    out = suite("default", test_w=WEDGES)
    assert "2 failed, 1 passed" in out.splitlines()[-1]
    assert "wedged machines: 2, of which wedges on stock too: 1" in out
    assert "  wedges on stock too: test_w.py::test_both" in out
    assert "wedges on stock too: test_w.py::test_tree_only" not in out
