# SPDX-License-Identifier: GPL-2.0-only
"""What a guest's end becomes: exit status, the line that says why, the summary."""

import argparse
import contextlib

import pytest

from unikvm.cli import probe, run, session, version
from unikvm.cli.progress import Phases
from unikvm.lab.guest import GuestConfig, Outcome
from unikvm.lab.modules import LoadedHalf

pytestmark = pytest.mark.unit


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.setenv("UNIKVM_CACHE", str(tmp_path))
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            session.Session(GuestConfig(**options), Phases(quiet=True), "6.x"))


@pytest.mark.parametrize("config,outcome,status,part", [
    ({}, {"end": "shutdown", "status": 0, "ready": True}, 0, ""),
    ({}, {"end": "shutdown", "status": 7, "ready": True}, 7, ""),
    ({}, {"end": "stopped", "status": 3, "ready": True}, 3, ""),
    ({}, {"end": "shutdown", "ready": True}, 255, "died (shutdown)"),
    ({}, {"end": "triple fault", "ready": True, "report": "rip 1"}, 255, "rip 1"),
    ({}, {"end": "reset"}, 255, "never reached init (reset)"),
    ({"boot_limit": 9.0}, {"end": "boot limit"}, 255, "did not reach init in 9 s"),
    ({"limit": 5.0}, {"end": "time limit", "ready": True}, 1, "--timeout"),
    ({}, {"end": "refused", "detail": "no /dev/kvm"}, 1, "no /dev/kvm"),
    ({"interactive": True}, {"end": "stopped", "ready": True}, 0, ""),
    ({"interactive": True}, {"end": "shutdown", "ready": True}, 0, ""),
    ({"interactive": True}, {"end": "shutdown"}, 255, "never reached init"),
    ({"interactive": True, "default_init": False}, {"end": "shutdown"}, 0, ""),
    ({"interactive": True, "default_init": False}, {"end": "triple fault"}, 255, "died"),
])
def test_status_and_reason(make, capsys, config, outcome, status, part):
    assert make(**config)._verdict(Outcome(**outcome)) == status
    err = capsys.readouterr().err
    assert part in err and (part or not err)


def test_a_guest_that_stopped_early_shows_its_last_lines(make, capsys):
    run_ = make()
    run_.event({"console": "one\r\ntwo\r\nKernel panic - not syncing\r\n"})
    run_._verdict(Outcome(end="reset"))
    err = capsys.readouterr().err
    assert "-- last on the console:\none\ntwo\nKernel panic" in err


def test_summary_names_all_parts(make, capsys, tmp_path):
    image = tmp_path / "bios.bin"
    image.write_bytes(b"xx 1.16.2-unikvm-abc\0")
    half = LoadedHalf("tree", "6.1", {"kvm": {"version": "0.1.0", "srcversion": "ABCD"}})
    run_ = make(firmware=str(image))
    run_.phases.record("booting the guest", 2.0)
    run_._summary(half.describe(), "lab")
    err = capsys.readouterr().err
    for part in ("half: tree (kvm 0.1.0, srcversion ABCD)", "SeaBIOS 1.16.2-unikvm-abc, sha256",
                 version.sha256(image), "guest kernel: 6.x", "booting the guest 2.0 s"):
        assert part in err
    make(boot="direct")._summary("stock", "lab")
    assert "firmware: not used" in capsys.readouterr().err


@pytest.mark.parametrize("kvm,flags,usable,part", [
    (probe.Kvm(problem="no /dev/kvm"), {"svm"}, False, "no /dev/kvm"),
    (probe.Kvm(api=12, missing=("IRQFD",)), {"svm"}, False, "lacks IRQFD"),
    (probe.Kvm(api=12), {"sse2"}, False, "no hardware behind it"),
    (probe.Kvm(api=12), {"svm", "sse2"}, True, "hardware: svm"),
])
def test_probe_judges(kvm, flags, usable, part):
    verdict, good = probe.judge(kvm, flags)
    assert good is usable and part in verdict


def test_probe_on_what_is_no_kvm(tmp_path):
    plain = tmp_path / "file"
    plain.write_text("")
    assert "no /nonexistent" in probe.ask_kvm("/nonexistent").problem
    assert "does not answer as KVM" in probe.ask_kvm(str(plain)).problem
    assert "group kvm" in probe.explain_open("/dev/kvm", 13)


def test_boot_from_disk_only_when_nothing_else_is_asked():
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    for words, expected in ((["--firmware", "seabios", "--disk", "d"], True),
                            (["--disk", "d"], False), (["--firmware", "seabios"], False),
                            (["--firmware", "seabios", "--disk", "d", "--exec", "x"], False)):
        assert run.from_disk(parser.parse_args(words)) is expected


def test_phases_add_up_and_show_plain_lines(capsys):
    phases = Phases()
    for _ in range(2):
        with phases.phase("work"):
            pass
    phases.record("other", 1.25)
    assert set(phases.times) == {"work", "other"} and phases.times["other"] == 1.25
    err = capsys.readouterr().err
    assert err.count("unikvm: work: 0.0 s") == 2 and "other 1.2 s" in phases.summary()
