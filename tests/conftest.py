# SPDX-License-Identifier: GPL-2.0-only
"""Tiers, shared lab machines, wedges."""

import json
import os
import signal

import pytest
from _pytest.runner import runtestprotocol

from lib import labs as lab_machines
from lib import slabs, tree
from unikvm.lab.machine import L1Died, L1Wedged

TIERS = ("quick", "default", "full")
WEDGED_TOO = "wedges on stock too"


def pytest_addoption(parser):
    parser.addoption("--tier", choices=TIERS, default="default",
                     help="quick: no lab, nothing slow; default: all but full; full: everything, "
                          "resumed where the last full run of this tree stopped")
    parser.addoption("--lab-kernel", metavar="PATH|VERSION",
                     help="kernel of the shared lab machines (default: the build's)")


def pytest_configure(config):
    # A shell starts background jobs with SIGINT ignored; tests of Ctrl-C must hear it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[STATE] = State(config)


class State:
    """What this run remembers."""

    def __init__(self, config):
        self.labs = None
        self.force_stock = False
        self.wedges = 0
        self.wedged_too = []
        self.full = config.getoption("--tier") == "full"
        self.whole_files = self.full and not any("::" in word for word in config.args)
        kernel = (config.getoption("--lab-kernel") or "").replace("/", "-")
        self.done_file = tree.cache() / f"full-{tree.fingerprint()}{kernel}.json"
        self.done = already_done(self.done_file) if self.full else set()
        self.open = {}


def already_done(file):
    """The groups that full runs of this tree have passed."""
    return set(json.loads(file.read_text())) if file.exists() else set()


STATE = pytest.StashKey()


def group_of(item):
    """The unit in which a full run resumes: the test file."""
    return item.nodeid.split("::")[0]


# -- tiers -----------------------------------------------------------------------

def in_tier(item, tier):
    marks = {mark.name for mark in item.iter_markers()}
    if tier == "full":
        return True
    if tier == "quick":
        return not marks & {"module", "boot", "slow", "full"}
    return "full" not in marks


def pytest_collection_modifyitems(config, items):
    """Keep the tier; in a full run, leave out groups already done at this state of the tree."""
    state, tier = config.stash[STATE], config.getoption("--tier")
    kept, dropped = [], []
    for item in items:
        wanted = in_tier(item, tier) and group_of(item) not in state.done
        (kept if wanted else dropped).append(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
    # Cheap first: a broken build shows before a machine boots. Then machine by machine.
    kept.sort(key=lambda item: cost(item))
    items[:] = kept
    slower_by = lab_machines.SLOWER_BY.get(config.getoption("--lab-kernel"), 1)
    for item in kept:
        if slower_by > 1:
            give_time(item, slower_by)
        state.open[group_of(item)] = state.open.get(group_of(item), 0) + 1


def give_time(item, times):
    """Multiply a test's time limit."""
    mark = item.get_closest_marker("timeout")
    limit = mark.args[0] if mark else float(item.config.getini("timeout"))
    item.add_marker(pytest.mark.timeout(limit * times), append=False)


def cost(item):
    marks = {mark.name for mark in item.iter_markers()}
    return ("full" in marks, "slow" in marks, "boot" in marks, "module" in marks, "kvm" in marks)


def pytest_runtest_logreport(report):
    if report.failed:
        CURRENT["failed"].add(report.nodeid.split("::")[0])


CURRENT = {"failed": set()}


def finish_group(state, item):
    """In a full run, remember a group whose last test has run and none failed."""
    group = group_of(item)
    state.open[group] -= 1
    if state.whole_files and not state.open[group] and group not in CURRENT["failed"]:
        state.done.add(group)
        done = state.done | already_done(state.done_file)       # by a run beside this one
        fresh = state.done_file.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(sorted(done)))
        fresh.replace(state.done_file)


# -- wedges ----------------------------------------------------------------------

def wedged(reports):
    return any(getattr(report, "wedged", False) for report in reports)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.wedged = call.excinfo is not None and issubclass(
        call.excinfo.type, (L1Wedged, L1Died))
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    """Run a test; one that wedged its machine once more on the stock half, to label it."""
    state = item.config.stash[STATE]
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if wedged(reports) and state.labs is not None:
        state.wedges += 1
        if repeat_on_stock(item, nextitem, state):
            state.wedged_too.append(item.nodeid)
            for report in reports:
                if report.wedged:
                    report.sections.append((WEDGED_TOO, "the stock half wedged there as well"))
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    finish_group(state, item)
    return True


def repeat_on_stock(item, nextitem, state):
    """True when the same test wedges a fresh machine with the distribution's modules."""
    force_stock(state, True)
    try:
        item._initrequest()
        return wedged(runtestprotocol(item, nextitem=nextitem, log=False))
    finally:
        force_stock(state, False)


def force_stock(state, wanted):
    """For the keeper at hand, and one that the repeat may make."""
    state.force_stock = state.labs.force_stock = wanted
    state.labs.close()


def pytest_terminal_summary(terminalreporter, config):
    state = config.stash[STATE]
    if state.wedges:
        terminalreporter.write_line(
            f"wedged machines: {state.wedges}, of which {WEDGED_TOO}: {len(state.wedged_too)}")
        for name in state.wedged_too:
            terminalreporter.write_line(f"  {WEDGED_TOO}: {name}")
    if state.labs is not None:
        terminalreporter.write_line(f"lab machines booted for shared use: {state.labs.booted}")


# -- fixtures --------------------------------------------------------------------

@pytest.fixture(scope="session")
def labs(request, tmp_path_factory):
    """The keeper of shared lab machines: labs.get(half, ...)."""
    scratch = tmp_path_factory.mktemp("lab")
    keeper = lab_machines.Labs(scratch, request.config.getoption("--lab-kernel"))
    state = request.config.stash[STATE]
    state.labs, keeper.force_stock = keeper, state.force_stock
    yield keeper
    keeper.close()


@pytest.fixture
def l1_tree(labs):
    """A shared L1 with the tree's modules, paranoid checks on; a kernel warning fails the test."""
    yield from healthy(labs.get("tree", parameters={"kvm.paranoid": "1"}))


@pytest.fixture
def l1_counted(labs):
    """As l1_tree, on a kernel that counts its objects exactly."""
    yield from healthy(labs.get("tree", parameters={"kvm.paranoid": "1"},
                                kernel_args=slabs.KERNEL_ARGS))


@pytest.fixture
def l1_stock(labs):
    """A shared L1 with the distribution's modules."""
    yield from healthy(labs.get("stock"))


def healthy(shared):
    shared.trouble()
    yield shared
    if not shared.machine.is_lost():
        found = shared.trouble()
        assert not found, f"the L1 kernel complained:\n{found}"
