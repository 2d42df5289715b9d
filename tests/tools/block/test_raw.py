# SPDX-License-Identifier: GPL-2.0-only
"""Raw images: what opens, what does not and why, and that bytes land where they belong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from unikvm.block.raw import RawDisk
from unikvm.core.errors import UserError

pytestmark = pytest.mark.unit


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(range(256)) * 8)
    return path


def test_open_and_read(image: Path) -> None:
    disk = RawDisk.open(image)
    assert disk.size == 2048 and not disk.read_only
    assert disk.read(510, 4) == b"\xfe\xff\x00\x01"
    disk.close()


def refusal(path: Path, **options: bool) -> str:
    with pytest.raises(UserError) as error:
        RawDisk.open(path, **options)
    text = str(error.value)
    assert str(path) in text and "\n" not in text
    return text


def test_missing(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.img")


def test_directory(tmp_path: Path) -> None:
    assert "is a directory" in refusal(tmp_path)
    assert "is a directory" in refusal(tmp_path, read_only=True)


@pytest.mark.parametrize("size", [1, 511, 513])
def test_odd_size(tmp_path: Path, size: int) -> None:
    path = tmp_path / "odd.img"
    path.write_bytes(bytes(size))
    assert f"{size} bytes, not a multiple of 512" in refusal(path)


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.img"
    path.touch()
    assert "is empty" in refusal(path)


def test_neither_file_nor_device() -> None:
    assert "neither a file nor a block device" in refusal(Path("/dev/null"))


@pytest.mark.parametrize("read_only", [False, True])
def test_named_pipe_does_not_wait_for_a_writer(tmp_path: Path, read_only: bool) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "neither a file" in refusal(tmp_path / "fifo", read_only=read_only)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to everything")
def test_not_writable(image: Path) -> None:
    image.chmod(0o444)
    assert "no permission" in refusal(image)
    RawDisk.open(image, read_only=True).close()


def test_a_writer_is_alone(image: Path) -> None:
    first = RawDisk.open(image)
    assert "in use" in refusal(image)
    assert "in use" in refusal(image, read_only=True)
    first.close()
    readers = [RawDisk.open(image, read_only=True) for _ in range(2)]
    assert "in use" in refusal(image)
    for reader in readers:
        reader.close()
    RawDisk.open(image).close()


def test_failed_open_leaves_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "odd.img"
    path.write_bytes(bytes(100))
    refusal(path)
    path.write_bytes(bytes(512))
    RawDisk.open(path).close()


def test_reading_past_the_end_is_an_error(image: Path) -> None:
    disk = RawDisk.open(image)
    image.write_bytes(bytes(512))  # shrinks under the open disk
    with pytest.raises(OSError):
        disk.read(1024, 512)
    disk.close()
