# SPDX-License-Identifier: GPL-2.0-only
"""Verdicts and reports of a conformance suite; KVM's selftests as a table."""

from xml.etree import ElementTree

import pytest

from unikvm.cli import conformance_selftests as verb
from unikvm.cli.progress import Phases
from unikvm.lab import LabError, conformance, selftests
from unikvm.lab.conformance import Outcome, Row
from unikvm.lab.machine import L1Wedged

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNIKVM_CACHE", str(tmp_path))
    return tmp_path


def row(stock, tree, allowed=(), name="x"):
    """A row from two words."""
    return Row(name, stock and Outcome(stock, 1.0), tree and Outcome(tree, 2.0, "said\x1b why"),
               allowed)


@pytest.mark.parametrize("stock,tree,allowed,bad", [
    ("pass", "pass", (), False), ("pass", "FAIL", (), True), ("pass", "timeout", (), True),
    ("pass", "wedge", (), True), ("pass", "skip", (), True),
    ("FAIL", "FAIL", (), False), ("wedge", "wedge", (), False), ("FAIL", "skip", (), True),
    ("skip", "skip", (), False), ("skip", "FAIL", (), False), (None, "FAIL", (), True),
    (None, "skip", ("skip",), False), (None, "FAIL", ("skip",), True),
    (None, "pass", ("skip",), False), (None, "FAIL", ("skip", "FAIL"), False),
    (None, "timeout", ("skip", "FAIL"), True), ("pass", None, (), False)])
def test_verdict(stock, tree, allowed, bad):
    assert row(stock, tree, allowed).regressed() is bad


def test_reports_agree(cache):
    rows = [row("pass", "pass", name="good"), row("pass", "FAIL", name="bad"),
            row("FAIL", "FAIL", name="even"), row(None, "skip", ("skip",), name="later")]
    xml, ktap = conformance.write(cache / "out", "suite", rows)
    root = ElementTree.parse(xml).getroot()
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("4", "1", "2")
    assert root.find("testcase[@name='bad']/failure").text == "said? why"
    assert ktap.read_text().splitlines() == [
        "KTAP version 1", "1..4", "ok 1 good", "# said? why", "not ok 2 bad",
        "ok 3 even # SKIP no better than stock", "ok 4 later # SKIP skip"]
    assert "bad" in conformance.table(rows) and "REGRESSED" in conformance.table(rows)
    assert conformance.summary(rows) == "tree: 1 pass, 1 skip, 2 FAIL; 1 regressed"
    assert verb.report(rows, cache) == 1 and verb.report(rows[:1], cache) == 0


def test_memory_of_stock(cache):
    path = cache / "deep" / "stock.json"
    assert conformance.remembered(path) == {}
    conformance.remember(path, {"a": Outcome("pass", 1.5, "x")})
    conformance.remember(path, {"b": Outcome("skip")})
    assert conformance.remembered(path) == {"a": Outcome("pass", 1.5, "x"), "b": Outcome("skip")}
    path.write_text('{"a": [1]}')
    assert conformance.remembered(path) == {}


def test_half_tree_runs_on_stock_only_what_is_not_remembered(cache, capsys):
    wanted = [p for p in selftests.PROGRAMS if p.name in ("cpuid_test", "tsc_msrs_test",
                                                          "xss_msr_test")]
    conformance.remember(cache / "m", {"cpuid_test": Outcome("pass")})
    for half, names in (("tree", ["tsc_msrs_test"]), (None, ["cpuid_test", "tsc_msrs_test"])):
        ran = []
        found = verb.stock_outcomes(half, wanted, cache / "m", Phases(),
                                    lambda program: ran.append(program.name) or Outcome("pass"))
        assert ran == names and sorted(found) == ["cpuid_test", "tsc_msrs_test"]
        (cache / "m").unlink()
        conformance.remember(cache / "m", {"cpuid_test": Outcome("pass")})
    assert "from an earlier run" in capsys.readouterr().err


# -- KVM's selftests --------------------------------------------------------------

def test_the_table():
    names = [program.name for program in selftests.PROGRAMS]
    assert len(names) == len(set(names)) == 68
    assert {program.tier for program in selftests.PROGRAMS} == {"A", "B", "C"}
    memory = next(p for p in selftests.PROGRAMS if p.name == "max_guest_memory_test")
    assert memory.arguments == ("-m", "2", "-s", "1")


def test_choosing():
    short = selftests.chosen([], True)
    assert 5 < len(short) < 20 and all(program.tier in "AB" for program in short)
    assert len(selftests.chosen([], False)) == 68
    assert [p.name for p in selftests.chosen(["smm_test"], True)] == ["smm_test"]
    with pytest.raises(LabError, match="no selftest nosuch; there are: access"):
        selftests.chosen(["nosuch"], False)


SOURCE = """#include <linux/kernel.h>
\tTEST_ASSERT_EQ(a, b);
#define FORK_NUM (1ULL << 9)
#define NR_TASK_MIGRATIONS 100000
\talarm(2);
"""


def test_fixes(tmp_path):
    for name, _, _ in selftests.FIXES:
        (tmp_path / name).write_text(SOURCE)
    for _ in range(2):
        selftests.apply_fixes(tmp_path)
        assert "\tASSERT_EQ(a, b)" in (tmp_path / "dirty_log_test.c").read_text()
        text = (tmp_path / "steal_time.c").read_text()
        assert text.count("#include <linux/stddef.h>\n#include <linux/kernel.h>\n") == 1
        assert text.count("stddef") == 1
    for name, text in (("hardware_disable_test.c", "#define FORK_NUM (1ULL << 6)\n"),
                       ("rseq_test.c", "#define NR_TASK_MIGRATIONS 10000\n"),
                       ("memslot_perf_test.c", "\talarm(60);\n")):
        assert text in (tmp_path / name).read_text()


class FakeL1:
    """Answers one command."""

    def __init__(self, status):
        self.status = status

    def run(self, command, timeout):
        self.command = command
        if self.status is None:
            raise L1Wedged("no answer")
        return type("Result", (), {"status": self.status, "stdout": b"out\n", "stderr": b"err"})


@pytest.mark.parametrize("status,word", [(0, "pass"), (4, "skip"), (254, "FAIL"), (1, "FAIL"),
                                         (124, "timeout"), (137, "timeout"), (None, "wedge")])
def test_outcomes(tmp_path, status, word):
    machine = FakeL1(status)
    program = selftests.Program("p", "A", ("-x",), 7)
    outcome = selftests.run(machine, selftests.Suite("1", tmp_path), program)
    assert outcome.word == word
    assert machine.command == ["timeout", "-k", "5", "7", str(tmp_path / "p"), "-x"]
    assert outcome.detail == ("no answer" if status is None else "out\nerr")
