# SPDX-License-Identifier: GPL-2.0-only
"""Runs `unikvm conformance SUITE` for suites of cases."""

import subprocess
from pathlib import Path
from xml.etree import ElementTree

from lib import tree


def run(suite: str, folder: Path, *words: str, timeout: float,
        ) -> tuple[subprocess.CompletedProcess[bytes], dict[str, bool]]:
    """The verb's process, and {case: passed} of the JUnit file it wrote."""
    done = tree.unikvm("conformance", suite, "--output", str(folder), *words, timeout=timeout)
    root = ElementTree.parse(folder / f"{suite}.xml").getroot()
    cases = {case.get("name"): case.find("failure") is None and case.find("skipped") is None
             for case in root.iter("testcase")}
    assert root.get("tests") == str(len(cases))
    return done, cases
