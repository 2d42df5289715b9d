# SPDX-License-Identifier: GPL-2.0-only
"""The cpio writer, read back by an independent reader (Python's struct, and the kernel's rules)."""

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.cpio import entries
from unikvm.boot import initrd
from unikvm.lab.cpio import CpioArchive

pytestmark = pytest.mark.unit

NAMES = st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,3}", fullmatch=True)


@given(st.dictionaries(NAMES, st.binary(max_size=600), max_size=8))
def test_files_come_back_with_their_folders_first(files):
    archive = CpioArchive()
    for name, body in files.items():
        archive.file(name, body, 0o755)
    found = entries(bytes(archive))
    regular = {name: body for name, mode, body in found if stat.S_ISREG(mode)}
    assert regular == files
    seen = set()
    for name, mode, _ in found:
        parent = name.rpartition("/")[0]
        assert not parent or parent in seen
        if stat.S_ISDIR(mode):
            assert name not in seen
            seen.add(name)


def test_links_and_devices():
    archive = CpioArchive()
    archive.symlink("bin/sh", "busybox")
    archive.device("dev/console", 5, 1)
    data = bytes(archive)
    (link, mode, body), (name, device_mode, _) = entries(data)
    assert (link, body, stat.S_ISLNK(mode)) == ("bin/sh", b"busybox", True)
    assert name == "dev/console" and stat.S_ISCHR(device_mode)
    header = data[data.index(b"dev/console") - 110:]
    assert (int(header[6 + 8 * 9:14 + 8 * 9], 16), int(header[6 + 8 * 10:14 + 8 * 10], 16)) == (5, 1)


def test_two_archives_make_one_that_the_vmm_accepts():
    first, second = CpioArchive(), CpioArchive()
    first.file("init", b"#!/bin/sh\n", 0o755)
    second.file("unikvm/mode", b"exec\n")
    initrd.check(bytes(first) + bytes(second), "both")


def test_same_input_same_bytes():
    def make():
        archive = CpioArchive()
        archive.file("a/b", b"x")
        return bytes(archive)
    assert make() == make()
