# SPDX-License-Identifier: GPL-2.0-only
"""apt's source-package entries, made from those for binary packages."""

import pytest

from unikvm.lab import aptsource

pytestmark = pytest.mark.unit


def test_sources_are_derived():
    """Both formats of apt's sources; what is disabled stays out."""
    assert aptsource.one_line_source(
        "# deb http://no.example x main\n"
        "deb [signed-by=/k] http://m.example/debian stable main # note\n"
        "deb-src [signed-by=/k] http://m.example/debian stable main # note\n"
        "deb-src http://s.example/debian stable main\n"
    ) == ("deb-src [signed-by=/k] http://m.example/debian stable main # note\n"
          "deb-src http://s.example/debian stable main\n")
    derived = aptsource.deb822_source(
        "Types: deb\nURIs: http://m.example/debian\nSuites: stable\n"
        "Components: main\nSigned-By: /k\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://off.example\n\n"
        "types: deb deb-src\nURIs: http://both.example\n")
    assert derived == ("Types: deb-src\nURIs: http://m.example/debian\n"
                       "Suites: stable\nComponents: main\nSigned-By: /k\n\n"
                       "Types: deb-src\nURIs: http://both.example\n")
