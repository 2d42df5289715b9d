# SPDX-License-Identifier: GPL-2.0-only
"""firmware/PIN: what SeaBIOS is built from, and the hashes that hold it."""
from __future__ import annotations

import configparser
import hashlib
from dataclasses import dataclass
from pathlib import Path

# Never part of the source: version control, Meson's additions to a wrap,
# the release's version stamp (absent from a checkout), build products.
NOT_SOURCE = {".git", ".version", ".config", ".config.old", "out",
              "__pycache__", "meson.build", "subprojects",
              ".meson-subproject-wrap-hash.txt"}


class FirmwareError(Exception):
    """Something the user can act on; its text is one line, or a few."""


@dataclass(frozen=True)
class Pin:
    """The parsed PIN file; all hashes are sha256 in lower-case hex."""

    version: str
    commit: str
    source_package: str
    tarball: str
    tarball_sha256: str
    tree_sha256: str
    images: dict[str, str]      # build tools -> hash of bios.bin


def read_pin(path: Path) -> Pin:
    """Parse the PIN file at `path`; raises FirmwareError if it is malformed."""
    # "=" only: the names of build tools have colons in them.
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_file(file)
        section = parser["seabios"]
        images = dict(parser["image"])
        return Pin(section["version"], section["commit"],
                   section["source-package"], section["tarball"],
                   section["tarball-sha256"], section["tree-sha256"], images)
    except (OSError, configparser.Error, KeyError) as error:
        raise FirmwareError(f"{path}: {error}") from error


def file_sha256(path: Path) -> str:
    """Hash of the file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_sha256(path: Path, expected: str) -> None:
    """Raise FirmwareError unless the file at `path` hashes to `expected`."""
    found = file_sha256(path)
    if found != expected:
        raise FirmwareError(f"{path}: sha256 is {found}, firmware/PIN says "
                            f"{expected}; remove the file and build again")


def source_files(root: Path) -> list[Path]:
    """Paths, relative to `root` and sorted, of the source files below it."""
    found = (path.relative_to(root) for path in root.rglob("*")
             if path.is_file())
    return sorted((path for path in found
                   if not NOT_SOURCE.intersection(path.parts)
                   and path.suffix != ".pyc"), key=Path.as_posix)


def tree_sha256(root: Path) -> str:
    """Hash of names and contents of the source files below `root`.

    It is the hash of `sha256sum`'s output for them, in byte order of names, so
    it does not depend on modes, dates or how the source was fetched.
    """
    lines = (f"{file_sha256(root / path)}  {path.as_posix()}\n"
             for path in source_files(root))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
