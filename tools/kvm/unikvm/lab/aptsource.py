# SPDX-License-Identifier: GPL-2.0-only
"""Debian source packages, fetched with apt.

apt runs on configuration and state of its own, derived from this machine's
sources, so it needs no deb-src entry and no root, and changes nothing outside
the folder it is given. The firmware's build uses this file too, by its path:
it imports nothing but the standard library.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

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


class SourceError(Exception):
    """apt has no such source package, in one line."""


class AptSource:
    """The source packages that apt knows of, below an empty folder `work`.

    `listing`: what `apt-cache showsrc` says of `package`, one stanza for each version.
    """

    def __init__(self, package: str, work: Path) -> None:
        self.package, self.work = package, work
        self._config = write_apt_config(work)
        # A source without packages of its own fails here and hurts nobody.
        self._update = self._run("apt-get", "-q", "update")
        self.listing = self._run("apt-cache", "showsrc", "--only-source", package).stdout

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        env = os.environ | {"APT_CONFIG": str(self._config), "LC_ALL": "C"}
        return subprocess.run(command, cwd=self.work, env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)

    def why_not(self) -> str:
        """The last word of an update that failed, for the end of a message."""
        said = self._update.stderr.strip().splitlines()
        return f" ({said[-1]})" if said else ""

    def download(self, version: str, wanted: str) -> Path:
        """The files of a version, into the folder; returns the path of the `wanted` one."""
        got = self._run("apt-get", "-q", "source", "--download-only", "--only-source",
                        f"{self.package}={version}")
        path = self.work / wanted
        if not path.is_file():
            said = got.stderr.strip().splitlines() or ["apt-get source failed"]
            raise SourceError(f"{wanted}: {said[-1]}")
        return path


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
               and not re.search(r"^Enabled:\s*(no|false|off|0)\b", stanza, flags)]
    return "\n".join(re.sub(r"^Types:.*$", "Types: deb-src", stanza, flags=flags) + "\n"
                     for stanza in enabled)


def apt_source_files() -> Iterator[Path]:
    """The files that configure this machine's apt sources."""
    query = ("apt-config", "shell", "LIST", "Dir::Etc::sourcelist/f",
             "PARTS", "Dir::Etc::sourceparts/d")
    answer = subprocess.run(query, capture_output=True, text=True, check=True).stdout
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
        (root / "sources" / path.name).write_text(convert(text), encoding="utf-8")
    config = root / "apt.conf"
    user = "root" if os.geteuid() == 0 else ""
    config.write_text(APT_CONF.format(root=root, user=user), encoding="utf-8")
    return config
