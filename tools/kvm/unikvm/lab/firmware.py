# SPDX-License-Identifier: GPL-2.0-only
"""The firmware image that belongs to this package."""

import re
from pathlib import Path

import unikvm


def folder() -> Path:
    """Where the build installs firmware: inside the package."""
    return Path(unikvm.__file__).resolve().parent / "firmware"


def image() -> Path | None:
    """bios.bin, or None for a build without firmware."""
    path = folder() / "bios.bin"
    return path if path.is_file() else None


def describe(path: Path) -> str:
    """The version string that SeaBIOS carries and prints."""
    found = re.search(rb"rel-[\w.+-]+|\b1\.\d+\.\d[\w.+-]*", path.read_bytes())
    return f"SeaBIOS {found.group(0).decode()}" if found else "SeaBIOS, version string not found"


def option_rom() -> Path | None:
    """Our kernel-loading option ROM, or None for a build without firmware."""
    path = folder() / "linuxboot.rom"
    return path if path.is_file() else None
