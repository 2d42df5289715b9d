# SPDX-License-Identifier: GPL-2.0-only
"""Where the tree, its build and its front door are, for tests."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from unikvm.lab import places
from unikvm.lab import tree as builder

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "tools" / "kvm" / "unikvm"


def build_dir() -> Path:
    """The Meson build directory in use."""
    found = places.build_dir() or ROOT / "build"
    assert (found / "meson-private").is_dir(), f"no build in {found}: run ./unikvm test"
    return found


def cache() -> Path:
    """The cache directory."""
    return places.cache_dir()


def fingerprint() -> str:
    """Names this state of the tree."""
    return builder.fingerprint(ROOT)[:16]


def tracked_files() -> list[Path]:
    """Every file that belongs to the tree (git's list, or a walk without git)."""
    done = subprocess.run(["git", "-C", str(ROOT), "-c", "safe.directory=*", "ls-files", "-z"],
                          capture_output=True, check=False)
    if done.returncode == 0 and done.stdout:
        names = done.stdout.decode().split("\0")
        return [ROOT / name for name in names if name and (ROOT / name).is_file()]
    return [path for path in builder.walk(ROOT)
            if ".git" not in path.parts and not path.is_relative_to(ROOT / "build")]


def unikvm(*words: str, timeout: float = 400, env: dict[str, str] | None = None,
           stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the CLI as the front door would, in a process group that a time-out ends whole."""
    process = start(*words, env=env)
    try:
        out, err = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"unikvm {' '.join(words)}: still running after {timeout} s\n"
                             f"{err.decode(errors='replace')}") from None
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def start(*words: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """The same, left running."""
    return subprocess.Popen([sys.executable, "-m", "unikvm", *words], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=dict(os.environ, **(env or {})), start_new_session=True,
                            preexec_fn=hear_ctrl_c)


def hear_ctrl_c() -> None:
    """A shell starts background jobs with SIGINT ignored, and that survives exec."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def one_line(stderr: bytes) -> str:
    """The complaint of a run that failed: exactly one line from unikvm, no traceback."""
    text = stderr.decode()
    assert "Traceback" not in text, text
    lines = [line for line in text.splitlines() if line]
    assert lines and lines[-1].startswith("unikvm: "), text
    return lines[-1]
