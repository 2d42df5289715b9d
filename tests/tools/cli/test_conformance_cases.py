# SPDX-License-Identifier: GPL-2.0-only
"""Suites of cases: which are run, what is reported."""

import pytest

from unikvm.cli import conformance_cases
from unikvm.lab.conformance import Outcome, Row

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("word, status", [("pass", 0), ("FAIL", 1), ("wedge", 1), ("timeout", 1)])
@pytest.mark.parametrize("half", ["tree", "stock"])
def test_a_case_that_fails_fails_the_run(tmp_path, capsys, word, status, half):
    outcome = Outcome(word, 1.5, "<why>\n")
    row = Row("boot-x", **{"stock": None, "tree": None, half: outcome})
    assert conformance_cases.report("qemu", [row], half, tmp_path) == status
    said = capsys.readouterr().out
    assert f"{1 - status} of 1 cases passed, 0 skipped" in said
    xml = (tmp_path / "qemu.xml").read_text()
    assert f'failures="{status}"' in xml and ("&lt;why&gt;" in xml) == bool(status)


def test_only_a_case_that_may_is_skipped(tmp_path, capsys):
    rows = [Row("boot-x", None, Outcome("pass")),
            Row("breakpoint-x", None, Outcome("skip", 1.0, "why"), ("skip",))]
    assert conformance_cases.report("qemu", rows, "tree", tmp_path) == 0
    assert "1 of 2 cases passed, 1 skipped" in capsys.readouterr().out
    assert 'skipped="1"' in (tmp_path / "qemu.xml").read_text()
    assert conformance_cases.report("qemu", [Row("boot-x", None, Outcome("skip"))], "tree", tmp_path) == 1
