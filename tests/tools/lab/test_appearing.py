# SPDX-License-Identifier: GPL-2.0-only
"""Folders of the cache: there with all they hold, or not there."""

import pytest

from unikvm.lab.appearing import appearing

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("part", ["", "root"])
def test_it_appears_at_the_end_instead_of_the_old_one(tmp_path, part):
    target = tmp_path / "store" / "1.0"
    for text in ("old", "new"):
        with appearing(target, part) as work:
            (work / part).mkdir(exist_ok=True)
            (work / part / "file").write_text(text)
            assert text == "old" and not target.exists() or (target / "file").read_text() == "old"
    assert (target / "file").read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["1.0"]


def test_what_fails_leaves_the_old_one_and_nothing_else(tmp_path):
    target = tmp_path / "1.0"
    target.mkdir()
    (tmp_path / ".1.0.new").mkdir()
    (tmp_path / ".1.0.new" / "left by one that was killed").touch()
    with pytest.raises(KeyboardInterrupt), appearing(target) as work:
        assert not list(work.iterdir())
        (work / "half").touch()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [target] and not list(target.iterdir())
