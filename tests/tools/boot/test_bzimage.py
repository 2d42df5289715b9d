# SPDX-License-Identifier: GPL-2.0-only
"""bzImage parsing: a good image, and every way a file can be no kernel."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unikvm.boot import bootparams, bzimage, e820
from unikvm.core.errors import UserError

pytestmark = pytest.mark.unit

SETUP_SECTS = 3
PAYLOAD = 64 * 1024
VERSION = b"6.12.0-test (someone) #1"


def make_image(**fields: int) -> bytearray:
    """A minimal valid bzImage; `fields` overrides header values by name."""
    values = {
        "setup_sects": SETUP_SECTS, "syssize": PAYLOAD // 16, "boot_flag": 0xAA55,
        "protocol": 0x20F, "loadflags": 1, "xloadflags": 3, "alignment": 0x200000,
        "relocatable": 1, "cmdline_size": 2047, "initrd_max": 0x7FFFFFFF,
        "pref_address": 0x1000000, "init_size": 0x2000000, "header_end": 0x6A,
    }  # fmt: skip
    values.update(fields)
    setup = bytearray((SETUP_SECTS + 1) * 512)
    places = {
        "setup_sects": (0x1F1, "B"), "syssize": (0x1F4, "<I"), "boot_flag": (0x1FE, "<H"),
        "header_end": (0x201, "B"), "protocol": (0x206, "<H"), "loadflags": (0x211, "B"),
        "initrd_max": (0x22C, "<I"), "alignment": (0x230, "<I"), "relocatable": (0x234, "B"),
        "xloadflags": (0x236, "<H"), "cmdline_size": (0x238, "<I"),
        "pref_address": (0x258, "<Q"), "init_size": (0x260, "<I"),
    }  # fmt: skip
    for name, value in values.items():
        struct.pack_into(places[name][1], setup, places[name][0], value)
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", setup, 0x20E, 0x400)
    setup[0x600 : 0x600 + len(VERSION)] = VERSION
    return setup + bytes(i * 7 & 0xFF for i in range(PAYLOAD))


def test_good_image() -> None:
    image = bytes(make_image())
    kernel = bzimage.parse(image, "k")
    assert (kernel.setup_size, kernel.payload_size) == (2048, PAYLOAD)
    assert kernel.version == VERSION.decode()
    assert bytes(kernel.payload) == image[2048:]
    assert kernel.header[0x202 - 0x1F1 :][:4] == b"HdrS"
    assert kernel.cmdline_max == 2047 and kernel.relocatable


def test_signature_behind_the_payload_is_not_loaded() -> None:
    kernel = bzimage.parse(bytes(make_image()) + b"signature", "k")
    assert len(kernel.payload) == PAYLOAD


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"boot_flag": 0}, "not a Linux x86 kernel"),
        ({"protocol": 0x20B}, "too old"),
        ({"loadflags": 0}, "zImage"),
        ({"xloadflags": 0}, "32-bit"),
        ({"syssize": 0}, "no code"),
        ({"syssize": PAYLOAD // 16 + 1}, "truncated"),
        ({"syssize": 0xFFFFFFFF}, "truncated"),
        ({"setup_sects": 255}, "truncated"),
        ({"alignment": 0}, "kernel_alignment"),
        ({"alignment": 3}, "kernel_alignment"),
        ({"pref_address": 0}, "pref_address"),
        ({"pref_address": 1 << 63}, "pref_address"),
        ({"init_size": 0}, "short setup header"),
        ({"header_end": 0}, "short setup header"),
    ],
)
def test_bad_field(change: dict[str, int], text: str) -> None:
    with pytest.raises(UserError, match=text) as error:
        bzimage.parse(bytes(make_image(**change)), "some-file")
    assert "some-file" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "empty"),
        (b"\x7fELF" + bytes(4096), "ELF"),
        (b"\x1f\x8b\x08" + bytes(4096), "gzip"),
        (b"070701" + bytes(4096), "cpio"),
        (b"#!/bin/sh\n", "too short"),
        (bytes(4096), "not a Linux x86 kernel"),
    ],
)
def test_other_files(data: bytes, text: str) -> None:
    with pytest.raises(UserError, match=text):
        bzimage.parse(data, "k")


def test_every_truncation_is_an_error() -> None:
    image = bytes(make_image())
    for size in (*range(0, 0x300), 2047, 2048, 2049, len(image) - 1):
        with pytest.raises(UserError):
            bzimage.parse(image[:size], "k")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_corrupt_header_never_crashes(data: st.DataObject) -> None:
    image = make_image()
    for _ in range(data.draw(st.integers(1, 8))):
        image[data.draw(st.integers(0x1F1, 0x268))] = data.draw(st.integers(0, 255))
    try:
        kernel = bzimage.parse(bytes(image), "k")
        load = bzimage.load_address(kernel, 1 << 28)
        bzimage.initrd_address(kernel, 4096, load, 1 << 28)
    except UserError:
        return
    assert load + kernel.init_size <= 1 << 28
    bootparams.build(
        kernel, load=load, cmdline=0x20000, initrd=(0, 0), rsdp=0xE0000,
        memory_map=e820.for_direct_boot(1 << 28),
    )  # fmt: skip
    assert isinstance(kernel.version, str)


def test_placement() -> None:
    kernel = bzimage.parse(bytes(make_image()), "k")
    assert bzimage.load_address(kernel, 0x3000000) == 0x1000000
    # Below that it is moved down to the lowest aligned address ...
    assert bzimage.load_address(kernel, 0x2400000) == 0x200000
    # ... and below that it is the user's turn.
    with pytest.raises(UserError, match="--memory"):
        bzimage.load_address(kernel, 0x2000000)


def test_unrelocatable_kernel_needs_its_address() -> None:
    kernel = bzimage.parse(bytes(make_image(relocatable=0)), "k")
    with pytest.raises(UserError, match="--memory"):
        bzimage.load_address(kernel, 0x2400000)


def test_initrd_goes_below_both_limits() -> None:
    kernel = bzimage.parse(bytes(make_image(initrd_max=0x37FFFFFF)), "k")
    assert bzimage.initrd_address(kernel, 4097, 0x1000000, 0x8000000) == 0x7FFE000
    assert bzimage.initrd_address(kernel, 4096, 0x1000000, 0xC0000000) == 0x37FFF000
    with pytest.raises(UserError, match="do not fit"):
        bzimage.initrd_address(kernel, 0x2000000, 0x1000000, 0x4000000)


def test_cmdline_limits() -> None:
    kernel = bzimage.parse(bytes(make_image(cmdline_size=10)), "k")
    assert bzimage.encode_cmdline(kernel, "0123456789", 100) == b"0123456789\0"
    with pytest.raises(UserError, match="takes 10"):
        bzimage.encode_cmdline(kernel, "0123456789a", 100)
    with pytest.raises(UserError, match="takes 7"):
        bzimage.encode_cmdline(kernel, "0123456789", 8)
    with pytest.raises(UserError, match="NUL"):
        bzimage.encode_cmdline(kernel, "a\0b", 100)


def test_zero_page() -> None:
    kernel = bzimage.parse(bytes(make_image()), "k")
    memory = 5 << 30
    page = bootparams.build(
        kernel, load=0x1000000, cmdline=0x20000, initrd=(0x7000000, 0x123456),
        rsdp=0xE0000, memory_map=e820.for_direct_boot(memory),
    )  # fmt: skip
    assert len(page) == 4096 and page[0x202:0x206] == b"HdrS"
    assert page[0x210] == 0xFF
    assert struct.unpack_from("<II", page, 0x218) == (0x7000000, 0x123456)
    assert struct.unpack_from("<I", page, 0x228) == (0x20000,)
    assert struct.unpack_from("<Q", page, 0x070) == (0xE0000,)
    entries = [struct.unpack_from("<QQI", page, 0x2D0 + 20 * i) for i in range(page[0x1E8])]
    assert sum(size for _, size, kind in entries if kind == 1) > memory - (2 << 20)
    assert (4 << 30, 2 << 30, 1) in entries


def test_too_many_e820_entries_are_refused() -> None:
    kernel = bzimage.parse(bytes(make_image()), "k")
    with pytest.raises(ValueError, match="129"):
        bootparams.build(
            kernel, load=0, cmdline=0, initrd=(0, 0), rsdp=0,
            memory_map=[e820.Entry(0, 1, 1)] * 129,
        )  # fmt: skip
