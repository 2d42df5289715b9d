# SPDX-License-Identifier: GPL-2.0-only
"""Build SeaBIOS reproducibly: verified source + our config + our patches.

Writes bios.bin, bios.json (what it was built from and by), and SeaBIOS's
licence texts. The same inputs and tools give the same bytes under any
directory, user, host name, date, umask and locale: SeaBIOS stamps date and
host name only when it cannot tell its own version or finds no extra version,
and it always gets both here. The build's environment is made from scratch.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from fetch import fetch  # noqa: E402
from pin import (FirmwareError, Pin, check_sha256, file_sha256,  # noqa: E402
                 read_pin, source_files, tree_sha256)

LICENCES = ("COPYING", "COPYING.LESSER")
# Low addresses are real in real mode: gcc 12 took each for a null pointer's
# field and warned 700 times (gcc bug 99578), hiding the warnings that matter.
REAL_MODE_PARAM = "--param=min-pagesize=0"


@dataclass(frozen=True)
class Source:
    """SeaBIOS's files as unpacked for this build."""

    root: Path
    version: str
    tree: str           # tree_sha256
    pinned: bool        # False: the developer's own checkout


def parse_args() -> argparse.Namespace:
    """The command line, as meson.build gives it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pin", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--patches", type=Path, required=True,
                        help="directory of *.patch, applied in order of name")
    parser.add_argument("--source", type=Path,
                        help="the pinned source, a directory or the tarball "
                             "(default: the cache's tarball, fetched)")
    parser.add_argument("--checkout", type=Path,
                        help="a SeaBIOS checkout to build instead")
    parser.add_argument("--cc", default="gcc")
    parser.add_argument("--depfile", type=Path)
    parser.add_argument("--target", help="bios.bin as the depfile names it")
    parser.add_argument("--out", type=Path, required=True,
                        help="directory for the results")
    return parser.parse_args()


def copy_tree(root: Path, to: Path) -> None:
    """Copy the source files, and only those, from `root` to `to`."""
    for path in source_files(root):
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / path, to / path)


def unpack(tarball: Path, to: Path) -> None:
    """Unpack the verified `tarball` so that `to` is its top directory."""
    with tarfile.open(tarball) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(to.parent, filter="data")
        else:
            archive.extractall(to.parent)
        top = archive.getnames()[0].split("/")[0]
    (to.parent / top).rename(to)


def checkout_version(root: Path) -> str:
    """Version of a developer's checkout: its tag, else its release stamp."""
    if (root / ".git").exists():
        described = subprocess.run(
            ["git", "-C", str(root), "describe", "--tags", "--always"],
            capture_output=True, text=True, check=False)
        if described.returncode == 0:
            return described.stdout.strip().removeprefix("rel-")
    stamp = root / ".version"
    if stamp.is_file():
        return stamp.read_text(encoding="utf-8").split("\n")[0].strip()
    return "unknown"


def place_source(args: argparse.Namespace, pin: Pin, to: Path) -> Source:
    """Put the chosen source, verified if pinned, into the new directory `to`.

    Raises FirmwareError if a pinned source is not what PIN says.
    """
    if args.checkout:
        if not (args.checkout / "src" / "version.c").is_file():
            raise FirmwareError(f"{args.checkout}: not a SeaBIOS checkout")
        copy_tree(args.checkout, to)
        return Source(to, checkout_version(args.checkout), tree_sha256(to),
                      pinned=False)
    source = args.source if args.source and args.source.exists() else fetch(pin)
    if source.is_dir():
        copy_tree(source, to)
    else:
        check_sha256(source, pin.tarball_sha256)
        unpack(source, to)
    tree = tree_sha256(to)
    if tree != pin.tree_sha256:
        raise FirmwareError(f"{source}: the files' hash is {tree}, "
                            f"firmware/PIN says {pin.tree_sha256}")
    return Source(to, pin.version, tree, pinned=True)


def apply_patches(patches: list[Path], root: Path) -> None:
    """Apply each patch to the tree at `root`; FirmwareError if one fails."""
    for patch in patches:
        with patch.open("rb") as file:
            done = subprocess.run(
                ["patch", "--batch", "--forward", "--fuzz=0", "-p1"],
                cwd=root, stdin=file, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise FirmwareError(f"{patch.name} does not apply:\n{done.stdout}")


def extra_version(config: Path, patches: list[Path], source: Source) -> str:
    """Our suffix to SeaBIOS's version: names what we add to its source.

    The hash is over config and patches, and over the source too where that is
    not the one the version number names.
    """
    digest = hashlib.sha256(config.read_bytes())
    for patch in patches:
        digest.update(patch.name.encode() + b"\0" + patch.read_bytes())
    if not source.pinned:
        digest.update(source.tree.encode())
    return f"-unikvm-{digest.hexdigest()[:8]}"


def build_environment() -> dict[str, str]:
    """Environment of every build step, whatever the caller's holds."""
    env = {"LC_ALL": "C", "TZ": "UTC", "PYTHONHASHSEED": "0",
           "PYTHONDONTWRITEBYTECODE": "1",
           "PATH": os.environ.get("PATH", os.defpath)}
    if "TMPDIR" in os.environ:
        env["TMPDIR"] = os.environ["TMPDIR"]
    return env


def compiler(cc: str) -> str:
    """`cc` with REAL_MODE_PARAM if it knows that."""
    command = [*shlex.split(cc), REAL_MODE_PARAM]
    known = subprocess.run([*command, "-S", "-x", "c", "/dev/null", "-o",
                            "/dev/null"], env=build_environment(),
                           capture_output=True, check=False)
    return shlex.join(command) if known.returncode == 0 else cc


def run_make(root: Path, log: Path, *args: str) -> None:
    """Run SeaBIOS's make: chatter goes to `log`, warnings also to stderr."""
    done = subprocess.run(["make", *args], cwd=root, env=build_environment(),
                          stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)
    with log.open("a", encoding="utf-8") as file:
        file.write(done.stdout + done.stderr)
    sys.stderr.write(done.stderr)
    if done.returncode:
        raise FirmwareError(f"SeaBIOS's make failed; see {log}")


def check_config(ours: Path, used: Path) -> None:
    """Raise FirmwareError if Kconfig dropped or overrode a line of ours."""
    want = {line for line in ours.read_text(encoding="utf-8").splitlines()
            if re.match(r"CONFIG_\w+=|# CONFIG_\w+ is not set$", line)}
    have = set(used.read_text(encoding="utf-8").splitlines())
    names = {line.split("=")[0] for line in have if line.startswith("CONFIG_")}
    # An option whose dependency is off vanishes: that is "not set" too.
    lost = sorted(line for line in want - have
                  if not line.startswith("#") or line.split()[1] in names)
    if lost:
        raise FirmwareError(f"{ours.name}: SeaBIOS ignores {', '.join(lost)}")


def build_tools(root: Path) -> str:
    """The compiler and binutils versions SeaBIOS recorded for its image."""
    header = (root / "out" / "autoversion.h").read_text(encoding="utf-8")
    return re.findall(r'BUILD_TOOLS "(.*)"', header)[0]


def check_image(image: bytes, version: str) -> None:
    """Raise FirmwareError unless `version` stands in the image as it is.

    SeaBIOS inserts date and host name where it does not trust its tools'
    answers; such an image is not reproducible.
    """
    if version.encode() + b"\0" not in image:
        raise FirmwareError(f"the image's version is not {version}: SeaBIOS "
                            "stamped date and host name into it")


def make_record(args: argparse.Namespace, source: Source, version: str,
                patches: list[Path], image: bytes,
                tools: str) -> dict[str, object]:
    """bios.json's content; nothing in it depends on where or when."""
    return {
        "sha256": hashlib.sha256(image).hexdigest(),
        "size": len(image),
        "version": version,
        "tools": tools,
        "source": "pinned" if source.pinned else "checkout",
        "source_sha256": source.tree,
        "config_sha256": file_sha256(args.config),
        "patches": {patch.name: file_sha256(patch) for patch in patches},
    }


def pin_state(pin: Pin, record: dict[str, object], source: Source) -> str:
    """How the image compares with PIN, in words, for the record."""
    if not source.pinned:
        return "not pinned"
    expected = pin.images.get(str(record["tools"]))
    if expected is None:
        return "unknown tools"
    return "match" if expected == record["sha256"] else "differs"


def report_pin(record: dict[str, object]) -> None:
    """Tell what to put in PIN where the image is not the one it names."""
    if record["pin"] in ("differs", "unknown tools"):
        print(f"firmware: bios.bin against PIN: {record['pin']}. If that is "
              f"meant, PIN's [image] gets\n{record['tools']} = "
              f"{record['sha256']}", file=sys.stderr)


def write_whole(path: Path, data: bytes) -> None:
    """Replace the file at `path` at once, never leaving half of it."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def write_depfile(args: argparse.Namespace, patches: list[Path]) -> None:
    """Tell ninja what else the image depends on.

    The patch directory itself, so that a new or removed patch counts; a
    checkout's every file and directory for the same reason.
    """
    found = [args.patches, *patches]
    if args.checkout:
        files = [args.checkout / path for path in source_files(args.checkout)]
        found += sorted({path.parent for path in files}) + files
    names = (str(path.resolve()).replace(" ", "\\ ") for path in found)
    write_whole(args.depfile, "".join(
        (f"{args.target}:", *(f" \\\n  {name}" for name in names),
         "\n")).encode())


def work_directory(out: Path) -> tempfile.TemporaryDirectory[str]:
    """A directory to build in: in `out`, unless make could not cope with it."""
    elsewhere = re.search(r"\s", str(out)) is not None
    return tempfile.TemporaryDirectory(prefix="seabios-",
                                       dir=None if elsewhere else out)


def make_image(args: argparse.Namespace, source: Source,
               patches: list[Path]) -> tuple[bytes, str, str]:
    """Build the unpacked `source`; returns image, version and build tools."""
    root, log = source.root, args.out / "seabios.log"
    apply_patches(patches, root)
    extra = extra_version(args.config, patches, source)
    (root / ".version").write_text(source.version + "\n", encoding="utf-8")
    shutil.copy(args.config, root / ".config")
    log.write_text("", encoding="utf-8")
    make = (root, log, f"PYTHON={shlex.quote(sys.executable)}",
            f"CC={compiler(args.cc)}", f"EXTRAVERSION={extra}")
    # Kconfig first and alone: SeaBIOS calls it so that a jobserver is lost.
    run_make(*make, "olddefconfig")
    check_config(args.config, root / ".config")
    run_make(*make, "out/autoconf.h")
    run_make(*make, f"-j{len(os.sched_getaffinity(0))}")
    image = (root / "out" / "bios.bin").read_bytes()
    check_image(image, source.version + extra)
    # The image with symbols, for a debugger.
    write_whole(args.out / "bios.elf", (root / "out" / "rom.o").read_bytes())
    return image, source.version + extra, build_tools(root)


def build(args: argparse.Namespace) -> None:
    """Build into args.out; raises FirmwareError, leaving old results alone."""
    pin = read_pin(args.pin)
    patches = sorted(args.patches.glob("*.patch"))
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    with work_directory(args.out) as work:
        source = place_source(args, pin, Path(work) / "seabios")
        image, version, tools = make_image(args, source, patches)
        licences = {name: (source.root / name).read_bytes()
                    for name in LICENCES}
    record = make_record(args, source, version, patches, image, tools)
    record["pin"] = pin_state(pin, record, source)
    report_pin(record)
    for name, text in licences.items():
        write_whole(args.out / name, text)
    write_whole(args.out / "bios.json",
                (json.dumps(record, indent=2) + "\n").encode())
    write_whole(args.out / "bios.bin", image)
    if args.depfile:
        write_depfile(args, patches)


def main() -> int:
    """Returns the exit status; errors are one line on standard error."""
    os.umask(0o022)
    try:
        build(parse_args())
    except (FirmwareError, OSError) as error:
        print(f"firmware: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
