# SPDX-License-Identifier: GPL-2.0-only
"""SeaBIOS's build: the same bytes everywhere, from the source PIN names only."""
from __future__ import annotations

import configparser
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
FIRMWARE = TREE / "firmware"

# Greets differently on the debug console, so that it shows in the image.
PATCH_1 = """\
--- a/src/output.c
+++ b/src/output.c
@@ -32,7 +32,7 @@
 debug_banner(void)
 {
     dprintf(1, "SeaBIOS (version %s)\\n", VERSION);
-    dprintf(1, "BUILD: %s\\n", BUILDINFO);
+    dprintf(1, "PATCHED-ONCE: %s\\n", BUILDINFO);
 }
 
 // Write a character to debug port(s).
"""
# Applies only after the first.
PATCH_2 = PATCH_1.replace('"BUILD:', '"@').replace('"PATCHED-ONCE:',
                                                   '"PATCHED-TWICE:').replace(
                                                       '"@', '"PATCHED-ONCE:')


def the_pin():
    import pin
    return pin.read_pin(FIRMWARE / "PIN")


def record(out: Path) -> dict:
    return json.loads((out / "bios.json").read_text())


def flipped(data: bytes) -> bytes:
    """`data` with one bit in its middle the other way."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:]


# Source and pin

@pytest.mark.unit
def test_tarball_is_the_pinned_commit(tarball):
    """git archive leaves the commit in the tarball's global header."""
    with tarfile.open(tarball) as archive:
        archive.next()
        assert archive.pax_headers["comment"] == the_pin().commit


@pytest.mark.unit
def test_wrap_names_the_pinned_commit():
    wrap = configparser.ConfigParser()
    wrap.read(TREE / "subprojects" / "seabios.wrap")
    assert wrap["wrap-git"]["revision"] == the_pin().commit
    assert wrap["wrap-git"]["directory"] == "seabios"
    project = TREE / "subprojects" / "packagefiles" / "seabios" / "meson.build"
    assert f"version: '{the_pin().version}'" in project.read_text()


@pytest.mark.unit
def test_damaged_tarball_in_cache_is_refused(tarball, tmp_path):
    cache = tmp_path / "firmware"
    cache.mkdir()
    bad = cache / tarball.name
    bad.write_bytes(flipped(tarball.read_bytes()))
    done = subprocess.run(
        [sys.executable, FIRMWARE / "scripts" / "fetch.py", FIRMWARE / "PIN"],
        env=os.environ | {"UNIKVM_CACHE": str(tmp_path)}, capture_output=True,
        text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert str(bad) in done.stderr and the_pin().tarball_sha256 in done.stderr
    assert hashlib.sha256(bad.read_bytes()).hexdigest() in done.stderr


@pytest.mark.unit
def test_damaged_tarball_is_not_built(tarball, tmp_path, build_bios):
    bad = tmp_path / tarball.name
    bad.write_bytes(flipped(tarball.read_bytes()))
    done = build_bios(tmp_path / "out", "--source", bad)
    assert done.returncode == 1 and "sha256 is" in done.stdout
    assert not (tmp_path / "out" / "bios.bin").exists()


@pytest.mark.unit
def test_changed_source_directory_is_not_built(tarball, tmp_path, build_bios):
    """What a wrap fetched is held against PIN too, file by file."""
    with tarfile.open(tarball) as archive:
        archive.extractall(tmp_path)
    source = tmp_path / f"seabios-{the_pin().version}"
    changed = source / "src" / "post.c"
    changed.write_bytes(changed.read_bytes() + b"\n")
    done = build_bios(tmp_path / "out", "--source", source)
    assert done.returncode == 1
    assert f"firmware/PIN says {the_pin().tree_sha256}" in done.stdout
    assert not (tmp_path / "out" / "bios.bin").exists()


@pytest.mark.unit
def test_no_apt(tmp_path):
    """Where apt is missing, one line says so."""
    done = subprocess.run(
        [sys.executable, FIRMWARE / "scripts" / "fetch.py", FIRMWARE / "PIN"],
        env={"PATH": str(tmp_path), "UNIKVM_CACHE": str(tmp_path)},
        capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "firmware: apt-config: not found\n"
    assert not list((tmp_path / "firmware").glob("apt-*"))


@pytest.mark.unit
def test_version_with_our_tarball_is_chosen():
    import fetch
    listing = ("Package: s\nVersion: 2-1\nChecksums-Sha256:\n bb 1 s.tar.gz\n\n"
               "Package: s\nVersion: 1-1\nChecksums-Sha256:\n aa 1 s.tar.gz\n")
    assert fetch.matching_version(listing, "aa") == "1-1"
    assert fetch.matching_version(listing, "cc") is None


# The image

def test_version_names_config_and_patches(built):
    made = record(built.out)
    digest = hashlib.sha256(
        (FIRMWARE / "config" / "seabios.config").read_bytes())
    for patch in sorted((FIRMWARE / "patches").glob("*.patch")):
        digest.update(patch.name.encode() + b"\0" + patch.read_bytes())
    assert made["version"] == \
        f"{the_pin().version}-unikvm-{digest.hexdigest()[:8]}"
    assert made["version"].encode() + b"\0" in built.bios.read_bytes()


def test_record_is_of_the_image(built):
    made, image = record(built.out), built.bios.read_bytes()
    assert made["sha256"] == hashlib.sha256(image).hexdigest()
    assert made["size"] == len(image) == 128 << 10
    assert made["source"] == "pinned"
    assert made["source_sha256"] == the_pin().tree_sha256
    assert made["tools"].encode() + b"\0" in image


def test_image_is_the_pinned_one(built):
    made = record(built.out)
    if made["tools"] not in the_pin().images:
        pytest.skip(f"PIN has no image of {made['tools']}")
    assert made["sha256"] == the_pin().images[made["tools"]]
    assert made["pin"] == "match"


def test_second_compile_does_nothing(built):
    before = built.bios.stat().st_mtime_ns, built.rom.stat().st_mtime_ns
    assert "no work to do" in built.compile().stdout
    assert before == (built.bios.stat().st_mtime_ns,
                      built.rom.stat().st_mtime_ns)


def test_installed_files(built, tmp_path):
    """What the install tag "firmware" puts into the package."""
    built.compile()
    subprocess.run(["meson", "install", "-C", built.build, "--no-rebuild",
                    "--tags", "firmware", "--destdir", tmp_path],
                   check=True, stdout=subprocess.DEVNULL)
    (package,) = tmp_path.rglob("unikvm")
    found = {path.relative_to(package).as_posix(): path
             for path in package.rglob("*") if path.is_file()}
    assert set(found) == {
        "firmware/PIN", "firmware/bios.bin", "firmware/bios.json",
        "firmware/linuxboot.rom", "firmware/seabios/COPYING",
        "firmware/seabios/COPYING.LESSER"}
    assert "LESSER GENERAL PUBLIC LICENSE" in \
        found["firmware/seabios/COPYING.LESSER"].read_text()
    assert found["firmware/bios.bin"].read_bytes() == built.bios.read_bytes()


def copy_firmware(target: Path) -> None:
    """`target`/firmware, and beside it the file that it shares with the lab."""
    shutil.copytree(FIRMWARE, target / "firmware")
    apt = "tools/kvm/unikvm/lab/aptsource.py"
    (target / apt).parent.mkdir(parents=True)
    shutil.copy(TREE / apt, target / apt)


def other_world(tmp_path: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """A command prefix and environment of another host, user and locale."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("date", "hostname", "whoami", "uname", "id"):
        (tools / name).write_text(f"#!/bin/sh\necho FAKED-{name}\n")
        (tools / name).chmod(0o755)
    env = {"PATH": f"{tools}:{os.environ['PATH']}", "LC_ALL": "tr_TR.UTF-8",
           "LANGUAGE": "de", "TZ": "Asia/Tokyo", "USER": "faked-user",
           "LOGNAME": "faked-user", "HOME": str(tmp_path),
           "HOSTNAME": "faked-host", "SOURCE_DATE_EPOCH": "1",
           "CFLAGS": "-O0", "CPATH": str(tmp_path), "MAKEFLAGS": "-j3",
           "PYTHONHASHSEED": "7", "CROSS_PREFIX": "faked-"}
    # A host name of its own and another user's number, where we may.
    prefix = ("unshare", "--user", "--map-root-user", "--uts", sys.executable,
              "-c", "import os, socket, sys; socket.sethostname('faked-host');"
              "os.execvp(sys.argv[1], sys.argv[1:])",
              "unshare", "--user", "--map-user=1234", "--map-group=1234")
    try:
        probe = subprocess.run([*prefix, sys.executable, "-c",
                                "import os, socket; "
                                "print(socket.gethostname(), os.getuid())"],
                               capture_output=True, text=True, check=False)
    except OSError:
        return (), env
    return (prefix if probe.stdout == "faked-host 1234\n" else ()), env


def test_build_is_reproducible(built, tarball, tmp_path, build_bios):
    """Another directory, user, host name, date, umask, locale: same image."""
    elsewhere = tmp_path / "a rather longer" / "directory"
    copy_firmware(elsewhere)
    prefix, env = other_world(tmp_path)
    print("other host name and user:", bool(prefix))
    done = build_bios(elsewhere / "out", "--source", tarball,
                      firmware=elsewhere / "firmware", env=env, prefix=prefix,
                      umask=0o077)
    assert done.returncode == 0
    other = elsewhere / "out"
    assert other.joinpath("bios.bin").read_bytes() == built.bios.read_bytes()
    assert record(other) == record(built.out)
    for leak in (b"FAKED-", b"faked-", str(tmp_path).encode()):
        assert leak not in built.bios.read_bytes()
        assert leak not in other.joinpath("bios.bin").read_bytes()


@pytest.mark.slow
def test_stamped_image_is_refused(tarball, tmp_path, build_bios):
    """SeaBIOS stamps date and host if its tools disagree on their version."""
    strip = tmp_path / "strip"
    strip.write_text("#!/bin/sh\n[ \"$1\" = --version ] && "
                     "exec echo 'GNU strip (another) 1.0'\n"
                     f"exec {shutil.which('strip')} \"$@\"\n")
    strip.chmod(0o755)
    done = build_bios(tmp_path / "out", "--source", tarball,
                      env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert done.returncode == 1
    assert "stamped date and host name" in done.stdout
    assert not (tmp_path / "out" / "bios.bin").exists()


# Patches, and a checkout of the developer's own

@pytest.mark.slow
def test_patches_are_applied_in_order(built, tarball, tmp_path, build_bios):
    patches = tmp_path / "patches"
    patches.mkdir()
    (patches / "0002-twice.patch").write_text(PATCH_2)
    (patches / "0001-once.patch").write_text(PATCH_1)
    done = build_bios(tmp_path / "out", "--source", tarball, patches=patches)
    assert done.returncode == 0
    image = (tmp_path / "out" / "bios.bin").read_bytes()
    assert b"PATCHED-TWICE:" in image and b"PATCHED-ONCE:" not in image
    made = record(tmp_path / "out")
    assert list(made["patches"]) == ["0001-once.patch", "0002-twice.patch"]
    assert made["version"] != record(built.out)["version"]
    assert made["version"].encode() + b"\0" in image


@pytest.mark.unit
def test_patch_that_does_not_apply(tarball, tmp_path, build_bios):
    patches = tmp_path / "patches"
    patches.mkdir()
    (patches / "0001-wrong.patch").write_text(PATCH_2)
    done = build_bios(tmp_path / "out", "--source", tarball, patches=patches)
    assert done.returncode == 1
    assert "firmware: 0001-wrong.patch does not apply" in done.stdout
    assert not (tmp_path / "out" / "bios.bin").exists()


@pytest.mark.slow
def test_developers_checkout(built, tarball, tmp_path, build_bios):
    with tarfile.open(tarball) as archive:
        archive.extractall(tmp_path)
    checkout = tmp_path / f"seabios-{the_pin().version}"
    source = checkout / "src" / "output.c"
    source.write_text(source.read_text().replace("BUILD: %s", "MINE-OWN: %s"))
    out, depfile = tmp_path / "out", tmp_path / "depfile"
    done = build_bios(out, "--checkout", checkout, "--depfile", depfile,
                      "--target", "bios.bin")
    assert done.returncode == 0
    made = record(out)
    assert b"MINE-OWN:" in (out / "bios.bin").read_bytes()
    assert made["source"] == "checkout" and made["pin"] == "not pinned"
    assert made["version"].startswith(f"{the_pin().version}-unikvm-")
    assert made["version"] != record(built.out)["version"]
    # An edit there rebuilds the image; the checkout itself is left alone.
    assert str(source) in depfile.read_text()
    assert not (checkout / "out").exists()


@pytest.mark.unit
def test_not_a_checkout(tmp_path, build_bios):
    done = build_bios(tmp_path / "out", "--checkout", tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path}: not a SeaBIOS checkout" in done.stdout


def test_config_that_seabios_ignores(tarball, tmp_path, build_bios):
    """A misspelt option must not pass for one that is set."""
    firmware = tmp_path / "firmware"
    copy_firmware(firmware.parent)
    with (firmware / "config" / "seabios.config").open("a") as config:
        config.write("CONFIG_NO_SUCH_OPTION=y\n")
    done = build_bios(tmp_path / "out", "--source", tarball, firmware=firmware)
    assert done.returncode == 1
    assert "SeaBIOS ignores CONFIG_NO_SUCH_OPTION=y" in done.stdout
