# SPDX-License-Identifier: GPL-2.0-only
"""initrd checks: what a kernel would take passes, what is cut short does not."""

from __future__ import annotations

import gzip
import lzma
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unikvm.boot import initrd
from unikvm.core.errors import UserError

pytestmark = pytest.mark.unit


def entry(name: bytes, body: bytes) -> bytes:
    fields = [1, 0o100644, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields)
    head += name + b"\0"
    head += bytes(-len(head) % 4)
    return head + body + bytes(-len(body) % 4)


ARCHIVE = entry(b"init", b"#!/bin/sh\n" * 99) + entry(b"TRAILER!!!", b"")
GZIP = gzip.compress(ARCHIVE)

GOOD = [
    ARCHIVE,
    ARCHIVE + bytes(512),
    GZIP,
    lzma.compress(ARCHIVE),
    ARCHIVE + GZIP,  # microcode in front, as Debian packs it
    bytes(512) + ARCHIVE,
    b"\x28\xb5\x2f\xfd" + bytes(100),
    GZIP + bytes(3),
]


@pytest.mark.parametrize("data", GOOD)
def test_good(data: bytes) -> None:
    initrd.check(data, "i")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "is empty"),
        (bytes(4096), "only zeros"),
        (b"#!/bin/sh\n" * 100, "not an initrd"),
        (b"\x7fELF" + bytes(100), "not an initrd"),
        (ARCHIVE[:600], "an entry reaches to byte"),
        (ARCHIVE[:50], "truncated"),
        (ARCHIVE[: len(ARCHIVE) // 2], "truncated"),
        (GZIP[:-9], "truncated"),
        (GZIP[:20] + b"\xff" * 40 + GZIP[60:], "damaged|truncated"),
        (lzma.compress(ARCHIVE)[:-8], "truncated"),
        (ARCHIVE + b"rubbish", "not an initrd"),
        (ARCHIVE.replace(b"070701", b"07070X", 2)[:6] + ARCHIVE[6:], "not an initrd"),
        (ARCHIVE[:54] + b"ZZZZZZZZ" + ARCHIVE[62:], "bad cpio header"),
    ],
)
def test_bad(data: bytes, text: str) -> None:
    with pytest.raises(UserError, match=text) as error:
        initrd.check(data, "some-initrd")
    assert "some-initrd" in str(error.value)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.integers(0, len(ARCHIVE)), st.booleans())
def test_anything_is_accepted_or_refused_cleanly(noise: bytes, cut: int, packed: bool) -> None:
    data = (GZIP if packed else ARCHIVE)[:cut] + noise
    try:
        initrd.check(data, "i")
    except UserError as error:
        assert "\n" not in str(error)


@pytest.mark.timeout(30)
def test_large_archives_take_little_time() -> None:
    """A minute of looking at zeros would be taken for a hang."""
    with pytest.raises(UserError, match="only zeros"):
        initrd.check(bytes(64 << 20), "i")
    initrd.check(gzip.compress(bytes(64 << 20), 1), "i")
    initrd.check(gzip.compress(os.urandom(24 << 20), 1), "i")


def test_every_cut_of_a_plain_archive_is_noticed() -> None:
    end = len(ARCHIVE)
    for cut in range(1, end - 4):
        with pytest.raises(UserError):
            initrd.check(ARCHIVE[:cut], "i")
