# SPDX-License-Identifier: GPL-2.0-only
"""`unikvm conformance vmms`: each VMM's every case passes on the tree's half."""

from xml.etree import ElementTree

import pytest

from lib import tree
from unikvm.lab import vmms

pytestmark = [pytest.mark.boot, pytest.mark.module, pytest.mark.full]


@pytest.mark.timeout(3600)
def test_every_case(tmp_path):
    run = tree.unikvm("conformance", "vmms", "--output", str(tmp_path), timeout=3500)
    assert run.returncode == 0, run.stdout.decode() + run.stderr.decode()[-3000:]
    root = ElementTree.parse(tmp_path / "vmms.xml").getroot()
    cases = {case.get("name"): not len(case) for case in root.iter("testcase")}
    assert cases == {case.name: True for case in vmms.all_cases()}
