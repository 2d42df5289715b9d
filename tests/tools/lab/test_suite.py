# SPDX-License-Identifier: GPL-2.0-only
"""Root directories of other Debian suites: what is refused, and what is found in one."""

import os
import subprocess

import pytest

from unikvm.lab import LabError, suite

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", ["", "../x", "Sid", "-x", "a b"])
def test_a_suite_has_a_name(name):
    with pytest.raises(LabError, match="is no name of a Debian suite"):
        suite.check_host(name)


def test_it_takes_root_and_debootstrap(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="suite sid needs root"):
        suite.check_host("sid")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(suite.shutil, "which", lambda _: None)
    with pytest.raises(LabError, match="apt-get install debootstrap"):
        suite.check_host("sid")


def test_the_newest_headers_count(tmp_path):
    with pytest.raises(LabError, match="has no kernel headers"):
        suite.Root(tmp_path).headers()
    for version in ("7.2.9+deb14", "7.2.13+deb14", "7.10.1+deb14"):
        (tmp_path / "usr/src" / f"linux-headers-{version}-amd64").mkdir(parents=True)
        (tmp_path / "usr/src" / f"linux-headers-{version}-common").mkdir()
    assert suite.Root(tmp_path).headers() == (
        "7.10.1+deb14-amd64", "/usr/src/linux-headers-7.10.1+deb14-amd64")


def test_only_what_is_missing_is_installed(monkeypatch, tmp_path):
    ran = []

    def run(self, *words):
        ran.append(words)
        known = "installed" if words[-1] == "gcc" else "not there"
        return subprocess.CompletedProcess(words, 0, known, None)

    monkeypatch.setattr(suite.Root, "run", run)
    suite.Root(tmp_path).need("gcc", progress=pytest.fail)
    assert len(ran) == 1
    suite.Root(tmp_path).need("gcc", "make", progress=lambda text: None)
    assert [words[-1] for words in ran if "install" in words] == ["make"]
    monkeypatch.setattr(suite.Root, "run", lambda self, *words: subprocess.CompletedProcess(
        words, 100, "E: no space\n", None))
    with pytest.raises(LabError, match="cannot install make in .*: E: no space"):
        suite.Root(tmp_path).need("make", progress=lambda text: None)


def test_the_mirror_is_the_one_in_use(monkeypatch):
    lines = "http://m.example/security/\nhttp://m.example/debian/\nhttp://n.example/debian/\n"
    monkeypatch.setattr(suite.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess(
        [], 0, lines, ""))
    assert suite.mirror() == ["http://m.example/debian/"]
