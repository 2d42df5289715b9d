# SPDX-License-Identifier: GPL-2.0-only
"""Results of a conformance suite: ours beside stock's; JUnit, KTAP, the stock half's memory."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.etree import ElementTree

# Words that say a program did not get to its end by itself.
BAD = ("FAIL", "timeout", "wedge")


@dataclass(frozen=True)
class Outcome:
    """How one program ended: pass, skip, FAIL, timeout or wedge (of the machine)."""

    word: str
    seconds: float = 0.0
    detail: str = ""


@dataclass(frozen=True)
class Row:
    """One program on both halves; None where it did not run. `allowed`: words that are
    right for ours whatever stock does, for a feature that we do not offer.
    """

    name: str
    stock: Outcome | None
    tree: Outcome | None
    allowed: tuple[str, ...] = ()

    def regressed(self) -> bool:
        """Ours fails where stock passes, or skips where stock runs."""
        if self.tree is None or self.tree.word == "pass":
            return False
        if self.allowed:
            return self.tree.word not in self.allowed
        if self.stock is None or self.stock.word == "pass":
            return True
        return self.tree.word == "skip" and self.stock.word != "skip"

    def remark(self) -> str:
        """What the words alone do not say."""
        if self.regressed():
            return "REGRESSED"
        if self.tree is not None and self.tree.word in BAD:
            return "not offered" if self.allowed else "no better than stock"
        return ""


def table(rows: Sequence[Row]) -> str:
    """For people: program, stock, tree, seconds of each."""
    width = max(len("program"), *(len(row.name) for row in rows))
    lines = [f"{'program':{width}}  {'stock':8}{'s':>6}  {'tree':8}{'s':>6}"]
    for row in rows:
        cells = "".join(
            f"  {outcome.word:8}{outcome.seconds:6.1f}" if outcome else f"  {'-':8}{'':6}"
            for outcome in (row.stock, row.tree))
        lines.append(f"{row.name:{width}}{cells}  {row.remark()}".rstrip())
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> str:
    """One line of counts."""
    ran = [row.tree.word for row in rows if row.tree is not None]
    counts = ", ".join(f"{ran.count(word)} {word}" for word in ("pass", "skip", *BAD)
                       if word in ran)
    return f"tree: {counts or 'nothing run'}; {sum(row.regressed() for row in rows)} regressed"


def junit(suite: str, rows: Sequence[Row]) -> str:
    """JUnit XML of the tree half, or of stock where only that ran."""
    root = ElementTree.Element("testsuite", name=suite, tests=str(len(rows)))
    for row in rows:
        ours = row.tree or row.stock or Outcome("skip")
        case = ElementTree.SubElement(root, "testcase", classname=suite, name=row.name,
                                      time=f"{ours.seconds:.1f}")
        if row.regressed() or (row.tree is None and ours.word in BAD):
            what = ElementTree.SubElement(case, "failure", message=ours.word)
            what.text = printable(ours.detail)
        elif ours.word != "pass":
            ElementTree.SubElement(case, "skipped", message=row.remark() or ours.word)
    root.set("failures", str(len(root.findall("testcase/failure"))))
    root.set("skipped", str(len(root.findall("testcase/skipped"))))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def ktap(rows: Sequence[Row]) -> str:
    """KTAP, as the kernel's own test tools write and read it."""
    lines = ["KTAP version 1", f"1..{len(rows)}"]
    for number, row in enumerate(rows, 1):
        ours = row.tree or row.stock or Outcome("skip")
        failed = row.regressed() or (row.tree is None and ours.word in BAD)
        if failed:
            lines += [f"# {line}" for line in printable(ours.detail).splitlines()]
        skip = "" if failed or ours.word == "pass" else f" # SKIP {row.remark() or ours.word}"
        lines.append(f"{'not ok' if failed else 'ok'} {number} {row.name}{skip}")
    return "\n".join(lines) + "\n"


def printable(text: str) -> str:
    """What XML and a terminal can hold."""
    return "".join(char if char.isprintable() or char in "\n\t" else "?" for char in text)


def write(folder: Path, suite: str, rows: Sequence[Row]) -> list[Path]:
    """SUITE.xml and SUITE.ktap."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {folder / f"{suite}.xml": junit(suite, rows), folder / f"{suite}.ktap": ktap(rows)}
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)


def remembered(path: Path) -> dict[str, Outcome]:
    """Stock's outcomes from an earlier run; empty where there was none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {name: Outcome(**fields) for name, fields in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def remember(path: Path, outcomes: Mapping[str, Outcome]) -> None:
    """Add outcomes to those of earlier runs."""
    known = remembered(path) | dict(outcomes)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps({name: asdict(known[name]) for name in known}, indent=1),
                       encoding="utf-8")
    scratch.rename(path)
