"""Places that are full or cannot be written to: disks in memory, which only root may mount, or what comes close."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import TracebackType

LARGE = 512 << 20


class Disk:
    """A disk in memory, as long as the block runs.

    Args:
        folder: Where it appears.
    """

    limit: int | None = None  # the most bytes that a file may have, where that stands in for a full disk

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Disk:
        self.folder.mkdir(parents=True, exist_ok=True)
        _mount("-t", "tmpfs", "-o", f"size={LARGE}", "edgehr-campaign", str(self.folder))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run(["umount", str(self.folder)], check=True)

    def leave(self, size: int) -> None:
        """Leave so many bytes free."""
        about = os.statvfs(self.folder)
        self._resize((about.f_blocks - about.f_bfree) * about.f_frsize + size)

    def lock(self) -> None:
        """Let nobody write."""
        _mount("-o", "remount,ro", str(self.folder))

    def release(self) -> None:
        """Let everybody write, and have room."""
        _mount("-o", "remount,rw", str(self.folder))
        self._resize(LARGE)

    def _resize(self, size: int) -> None:
        _mount("-o", f"remount,size={size}", str(self.folder))


class PlainFolder(Disk):
    """A folder, for users who may not mount: files have a limit in place of the disk, and permissions lock it."""

    def __enter__(self) -> Disk:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def leave(self, size: int) -> None:
        self.limit = size

    def lock(self) -> None:
        self._permit(0o500)

    def release(self) -> None:
        self.limit = None
        self._permit(0o700)

    def _permit(self, mode: int) -> None:
        for folder in [self.folder, *(path for path in self.folder.rglob("*") if path.is_dir())]:
            folder.chmod(mode)


def small_disk(folder: Path) -> Disk:
    """Return a disk where one can be mounted, and a folder elsewhere."""
    return (Disk if _can_mount(folder.parent) else PlainFolder)(folder)


@cache
def _can_mount(folder: Path) -> bool:
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return False
    try:
        with Disk(folder / "trial"):
            return True
    except (subprocess.CalledProcessError, OSError):
        return False


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)
