# SPDX-License-Identifier: GPL-2.0-only
"""Fetch the pinned SeaBIOS tarball from Debian's source package, with apt.

Prints the path of the verified tarball in the cache ($UNIKVM_CACHE, else
~/.cache/unikvm). apt runs on configuration and state of its own, derived from
this machine's sources, so it needs no root and changes nothing outside the
cache.

Usage: fetch.py PIN
"""
from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from pin import FirmwareError, Pin, check_sha256, read_pin  # noqa: E402

# Hooks of the system's apt are about the system's packages.
APT_CONF = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear Acquire::IndexTargets::deb-src;
Acquire::IndexTargets::deb-src::Sources {{
  MetaKey "$(COMPONENT)/source/Sources";
  ShortDescription "Sources";
  Description "$(RELEASE)/$(COMPONENT) Sources";
  Optional "false";
}};
Acquire::Retries "2";
APT::Sandbox::User "{user}";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{root}/sources";
Dir::State "{root}/state";
Dir::State::status "/dev/null";
Dir::Cache "{root}/cache";
"""


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


def one_line_source(text: str) -> str:
    """Source-package entries for those of a sources.list file, each once."""
    entries = re.findall(r"^[ \t]*deb(?:-src)?[ \t]+(.*)$", text, re.MULTILINE)
    return "".join(f"deb-src {entry}\n" for entry in dict.fromkeys(entries))


def deb822_source(text: str) -> str:
    """The same for the deb822 format, see sources.list(5)."""
    flags = re.MULTILINE | re.IGNORECASE
    stanzas = [stanza.strip() for stanza in re.split(r"\n\s*\n", text)]
    enabled = [stanza for stanza in stanzas
               if re.search(r"^Types:", stanza, flags)
               and not re.search(r"^Enabled:\s*(no|false|off|0)\b", stanza,
                                 flags)]
    return "\n".join(re.sub(r"^Types:.*$", "Types: deb-src", stanza,
                            flags=flags) + "\n" for stanza in enabled)


def apt_source_files() -> Iterator[Path]:
    """The files that configure this machine's apt sources."""
    query = ("apt-config", "shell", "LIST", "Dir::Etc::sourcelist/f",
             "PARTS", "Dir::Etc::sourceparts/d")
    answer = subprocess.run(query, capture_output=True, text=True,
                            check=True).stdout
    found = dict(re.findall(r"(\w+)='(.*)'", answer))
    main = Path(found.get("LIST", "/etc/apt/sources.list"))
    if main.is_file():
        yield main
    parts = Path(found.get("PARTS", "/etc/apt/sources.list.d"))
    yield from sorted(path for path in parts.glob("*")
                      if path.suffix in (".list", ".sources"))


def write_apt_config(root: Path) -> Path:
    """Make apt's private directories below `root`; returns the config file."""
    for name in ("sources", "state/lists/partial", "cache/archives/partial"):
        (root / name).mkdir(parents=True)
    for path in apt_source_files():
        convert = deb822_source if path.suffix == ".sources" else one_line_source
        text = path.read_text(encoding="utf-8", errors="replace")
        (root / "sources" / path.name).write_text(convert(text),
                                                  encoding="utf-8")
    config = root / "apt.conf"
    user = "root" if os.geteuid() == 0 else ""
    config.write_text(APT_CONF.format(root=root, user=user), encoding="utf-8")
    return config


def run_apt(config: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run one apt command on the private configuration."""
    env = os.environ | {"APT_CONFIG": str(config), "LC_ALL": "C"}
    return subprocess.run(command, cwd=config.parent, env=env,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)


def matching_version(listing: str, sha256: str) -> str | None:
    """The version, in apt-cache showsrc's output, that has our tarball."""
    for stanza in listing.split("\n\n"):
        version = re.search(r"^Version: (\S+)$", stanza, re.MULTILINE)
        if version and sha256 in stanza:
            return version[1]
    return None


def fetch_with_apt(pin: Pin, work: Path) -> Path:
    """Download the pinned tarball into `work`; returns its path there."""
    config = write_apt_config(work)
    # A source without packages of its own fails here and hurts nobody.
    update = run_apt(config, "apt-get", "-q", "update")
    listing = run_apt(config, "apt-cache", "showsrc", "--only-source",
                      pin.source_package).stdout
    version = matching_version(listing, pin.tarball_sha256)
    if version is None:
        reason = update.stderr.strip().splitlines()
        raise FirmwareError(
            f"apt has no source package with {pin.tarball}"
            + (f" ({reason[-1]})" if reason else ""))
    got = run_apt(config, "apt-get", "-q", "source", "--download-only",
                  "--only-source", f"{pin.source_package}={version}")
    tarball = work / pin.tarball
    if not tarball.is_file():
        reason = got.stderr.strip().splitlines() or ["apt-get source failed"]
        raise FirmwareError(f"{pin.tarball}: {reason[-1]}")
    return tarball


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
    except (FirmwareError, OSError) as error:
        print(f"firmware: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
