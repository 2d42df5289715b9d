# SPDX-License-Identifier: GPL-2.0-only
"""Bad input: one clear line that names the thing, 2 for usage, 1 for failure, no traceback."""

import pytest

from lib import tree
from unikvm import cli
from unikvm.lab import kernels

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("words,part", [
    (["frobnicate"], "no verb 'frobnicate'"),
    (["run", "--stdin"], "--exec"),
    (["run", "--exec", "true", "--initrd", "/x"], "--initrd"),
    (["run", "--boot", "direct", "--firmware", "seabios"], "--boot direct"),
    (["run", "--on", "host", "--lab-kernel", "6.1"], "--lab-kernel"),
    (["run", "--module-param", "kvm=1"], "kvm.NAME=VALUE"),
    (["run", "--module-param", "ext4.x=1"], "kvm.NAME=VALUE"),
    (["lab", "--suite", "sid", "--lab-kernel", "6.12", "--", "true"], "--suite and --lab-kernel"),
    (["lab", "--file", "/x", "--", "true"], "--emulator bochs"),
    (["lab", "--emulator", "bochs"], "-- COMMAND"),
    (["lab", "--emulator", "bochs", "--lab-cpus", "2", "--", "true"], "one CPU"),
])
def test_usage_errors_of_ours(words, part, capsys):
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert not out and part in tree.one_line(err.encode()) and err.count("\n") == 1


@pytest.mark.parametrize("words", [
    ["run", "--half", "both"], ["run", "--cpus", "0"], ["run", "--memory", "lots"],
    ["run", "--nonsense"], ["run", "--timeout", "-1"], ["lab", "--lab-threads", "three"],
    ["test", "--quick", "--full"], ["build", "surplus"]])
def test_usage_errors_of_the_parser(words, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_overview_and_help(capsys):
    assert cli.main([]) == 2 and cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    for verb in cli.VERBS:
        assert f"  {verb} " in out
        with pytest.raises(SystemExit) as caught:
            cli.main([verb, "--help"])
        assert caught.value.code == 0


@pytest.fixture
def kernel():
    """A real guest kernel, if one is in the cache (the default tier fetches it)."""
    found = kernels.newest_cached("")
    if found is None:
        pytest.skip("no kernel in the cache yet")
    return str(found.vmlinuz)


@pytest.fixture
def files(tmp_path):
    """Paths for the table: {dir}/NAME."""
    (tmp_path / "text").write_text("this is no kernel and no initramfs\n" * 100)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "odd").write_bytes(bytes(513))
    (tmp_path / "cut").write_bytes(b"070701" + b"0" * 50)
    (tmp_path / "disk").write_bytes(bytes(1 << 20))
    return tmp_path


# arguments, what the line must contain; {kernel} and {dir} are filled in
FAILURES = [
    (["--kernel", "{dir}/none"], "none: No such file"),
    (["--kernel", "{dir}/text"], "text is no x86 Linux kernel"),
    (["--kernel", "{dir}/empty"], "empty is no x86 Linux kernel"),
    (["--kernel", "9.99.0-1-amd64"], "9.99.0-1-amd64"),
    (["--kernel", "{kernel}", "--initrd", "{dir}/none"], "none: no such file"),
    (["--kernel", "{kernel}", "--initrd", "{dir}/empty"], "empty"),
    (["--kernel", "{kernel}", "--initrd", "{dir}/cut"], "cut"),
    (["--kernel", "{kernel}", "--initrd", "{dir}/text"], "text"),
    (["--kernel", "{kernel}", "--disk", "{dir}/none"], "none: no such file"),
    (["--kernel", "{kernel}", "--disk", "{dir}/empty"], "512-byte sectors"),
    (["--kernel", "{kernel}", "--disk", "{dir}/odd"], "512-byte sectors"),
    (["--kernel", "{kernel}", "--disk", "{dir}"], "is a directory"),
    (["--kernel", "{kernel}", "--disk", "{dir}/disk,cow"], "readonly"),
    (["--kernel", "{kernel}", "--memory", "1"], "--memory"),
    (["--kernel", "{kernel}", "--memory", "999999999"], "--memory"),
    (["--kernel", "{kernel}", "--firmware", "{dir}/none"], "none: no such file"),
    (["--kernel", "{kernel}", "--firmware", "{dir}/text"], "not a BIOS image"),
    (["--kernel", "{kernel}", "--append", "x" * 5000], "command line"),
    (["--kernel", "{kernel}", "--lab-qemu", "{dir}/none"], "none"),
    (["--kernel", "{kernel}", "--lab-qemu", "{dir}/text"], "text"),
    (["--kernel", "{kernel}", "--lab-kernel", "9.99"], "9.99"),
]


@pytest.mark.parametrize("words,part", FAILURES, ids=[" ".join(words)[-60:].strip("x")
                                                      for words, _ in FAILURES])
def test_failures_before_any_machine_starts(words, part, kernel, files, capsys, monkeypatch):
    monkeypatch.setattr("unikvm.lab.machine.L1.__init__", None)
    filled = [word.format(kernel=kernel, dir=files) for word in words]
    status = cli.main(["run", "--on", "lab", "--half", "stock", "--exec", "true", *filled]
                      if "--initrd" not in filled else
                      ["run", "--on", "lab", "--half", "stock", *filled])
    out, err = capsys.readouterr()
    assert status == 1 and not out
    assert part in tree.one_line(err.encode())
    assert "Traceback" not in err and "internal error" not in err


def test_a_read_only_disk(kernel, files, capsys, monkeypatch):
    monkeypatch.setattr("unikvm.lab.machine.L1.__init__", None)

    def refuse(path, mode="r", *rest, **named):
        if "+" in mode:
            raise PermissionError(13, "Permission denied")
        return open(path, mode, *rest, **named)

    monkeypatch.setattr("unikvm.lab.guest.open", refuse, raising=False)
    assert cli.main(["run", "--on", "lab", "--half", "stock", "--exec", "true",
                     "--kernel", kernel, "--disk", f"{files}/disk"]) == 1
    line = tree.one_line(capsys.readouterr().err.encode())
    assert f"{files}/disk: Permission denied; add ,readonly" in line


def test_a_bug_of_ours_ends_in_a_log_not_a_traceback(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("UNIKVM_CACHE", str(tmp_path))

    def broken(args):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("unikvm.cli.probe.main", broken)
    assert cli.main(["probe"]) == 1
    line = tree.one_line(capsys.readouterr().err.encode())
    assert "internal error: ZeroDivisionError: oh" in line
    (log,) = (tmp_path / "logs").glob("crash-*.log")
    assert str(log) in line and "ZeroDivisionError" in log.read_text()


@pytest.mark.parametrize("error,status", [(KeyboardInterrupt(), 130), (BrokenPipeError(), 1),
                                          (OSError(28, "No space left", "/x"), 1)])
def test_what_ends_a_verb(error, status, capsys, monkeypatch):
    def ending(args):
        raise error

    monkeypatch.setattr("unikvm.cli.probe.main", ending)
    assert cli.main(["probe"]) == status
    assert "Traceback" not in capsys.readouterr().err
