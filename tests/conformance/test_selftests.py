# SPDX-License-Identifier: GPL-2.0-only
"""KVM's own selftests: ours passes whatever stock passes, in the same L1."""

from xml.etree import ElementTree

import pytest

from lib import tree
from unikvm.lab import selftests

pytestmark = pytest.mark.module


def conformance(tmp_path, *options, timeout):
    """Run the verb; the JUnit cases by name, and what it printed."""
    done = tree.unikvm("conformance", "selftests", "--output", str(tmp_path), *options,
                       timeout=timeout)
    text = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == 0, text
    root = ElementTree.parse(tmp_path / "selftests.xml").getroot()
    return {case.get("name"): case for case in root.iter("testcase")}, text


@pytest.mark.timeout(1500)
def test_short(tmp_path):
    cases, text = conformance(tmp_path, "--short", timeout=1400)
    assert sorted(cases) == sorted(p.name for p in selftests.PROGRAMS if p.short), text
    skipped = [name for name, case in cases.items() if case.find("skipped") is not None]
    assert not skipped, text


@pytest.mark.full
@pytest.mark.timeout(7500)
def test_all(tmp_path):
    cases, text = conformance(tmp_path, timeout=7200)
    assert len(cases) == len(selftests.PROGRAMS), text
