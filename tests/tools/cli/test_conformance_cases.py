# SPDX-License-Identifier: GPL-2.0-only
"""Suites of cases: which are run, what is reported."""

import argparse

import pytest

from unikvm.cli import conformance_cases, conformance_qemu
from unikvm.lab import qemu
from unikvm.lab.conformance import Outcome, Row

pytestmark = pytest.mark.unit


def listed(capsys, *words):
    """The cases that these options of the QEMU suite choose."""
    parser = argparse.ArgumentParser()
    conformance_qemu.add_arguments(parser)
    assert conformance_qemu.main(parser.parse_args(["--list", *words])) == 0
    return capsys.readouterr().out.split()


def test_cases_are_chosen_by_a_part_of_their_names(capsys):
    assert listed(capsys) == [case.name for case in qemu.all_cases()]
    assert listed(capsys, "--short") == [case.name for case in qemu.SHORT]
    chosen = listed(capsys, "--only", "gdb-q35")
    assert chosen and all(name.startswith("gdb-q35-") for name in chosen)


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
    rows = [Row("boot-x", None, Outcome("skip"))]
    assert conformance_cases.report("qemu", rows, "tree", tmp_path) == 1
