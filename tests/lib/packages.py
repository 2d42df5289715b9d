# SPDX-License-Identifier: GPL-2.0-only
"""Debian packages made on the spot, for tests of what fetches and unpacks them."""

import subprocess
from collections.abc import Mapping
from pathlib import Path


def build(package: str, folder: Path, files: Mapping[str, str]) -> Path:
    """A .deb in `folder` that holds `files`, texts by their paths in it."""
    top = folder / "tree"
    control = (f"Package: {package}\nVersion: 1\nArchitecture: all\n"
               "Maintainer: none <none@none>\nDescription: test\n")
    for name, text in {"DEBIAN/control": control, **files}.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(top), str(folder / "x.deb")],
                   check=True, capture_output=True)
    return folder / "x.deb"
