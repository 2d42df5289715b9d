# SPDX-License-Identifier: GPL-2.0-only
"""Fetch the pinned SeaBIOS tarball from Debian's source package, with apt.

Prints the path of the verified tarball in the cache ($UNIKVM_CACHE, else
~/.cache/unikvm).

Usage: fetch.py PIN
"""
from __future__ import annotations

import fcntl
import os
import re
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from pin import FirmwareError, Pin, check_sha256, read_pin  # noqa: E402

# The lab fetches Debian's sources the same way.
sys.path.append(str(HERE.parents[1] / "tools" / "kvm" / "unikvm" / "lab"))
from aptsource import AptSource, SourceError  # noqa: E402


def cache_dir() -> Path:
    """The firmware part of the project's cache; created if missing."""
    base = os.environ.get("UNIKVM_CACHE")
    root = Path(base) if base else Path.home() / ".cache" / "unikvm"
    directory = root / "firmware"
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FirmwareError(f"{directory}: {error.strerror}") from error
    return directory


def matching_version(listing: str, sha256: str) -> str | None:
    """The version, in apt-cache showsrc's output, that has our tarball."""
    for stanza in listing.split("\n\n"):
        version = re.search(r"^Version: (\S+)$", stanza, re.MULTILINE)
        if version and sha256 in stanza:
            return version[1]
    return None


def fetch_with_apt(pin: Pin, work: Path) -> Path:
    """Download the pinned tarball into `work`; returns its path there."""
    apt = AptSource(pin.source_package, work)
    version = matching_version(apt.listing, pin.tarball_sha256)
    if version is None:
        raise FirmwareError(f"apt has no source package with {pin.tarball}{apt.why_not()}")
    return apt.download(version, pin.tarball)


def fetch(pin: Pin) -> Path:
    """The verified tarball in the cache, fetched if it is not there.

    Raises FirmwareError if it cannot be had or does not hash to the pin.
    """
    cache = cache_dir()
    tarball = cache / pin.tarball
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tarball.exists():
            with tempfile.TemporaryDirectory(prefix="apt-", dir=cache) as work:
                got = fetch_with_apt(pin, Path(work))
                check_sha256(got, pin.tarball_sha256)
                os.replace(got, tarball)
        check_sha256(tarball, pin.tarball_sha256)
    return tarball


def main(pin_path: str) -> int:
    """Print the tarball's path; returns the exit status."""
    try:
        print(fetch(read_pin(Path(pin_path))))
    except FileNotFoundError as error:
        print(f"firmware: {error.filename}: not found", file=sys.stderr)
        return 1
    except (FirmwareError, SourceError, OSError) as error:
        print(f"firmware: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
