"""The programs that build an image and run it on this host; on Debian and its kin apt installs what is missing."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from meter_tools.told import Tell, ToolError, tell_in_english

BUILD = {"arm-none-eabi-gcc": ("gcc-arm-none-eabi", "libnewlib-arm-none-eabi"), "make": ("make",)}
"""Program -> the Debian packages that bring it, and what it needs."""

HOST_BUILD = {"gcc": ("gcc", "libc6-dev"), "make": ("make",)}
HOST_MAKE = {"make": ("make",), "git": ("git",)}
EMULATOR = {"qemu-system-arm": ("qemu-system-arm",)}


class ToolchainError(ToolError):
    """A program is missing; one line with the remedy."""


def want(programs: Mapping[str, tuple[str, ...]], log: Path, tell: Tell = tell_in_english) -> None:
    """ToolchainError unless all of them are on PATH then; what apt says goes into the log."""
    missing = absent(programs)
    packages = [package for program in missing for package in programs[program]]
    if missing and _as_root() is not None and shutil.which("apt-get"):
        tell("board.installing", packages=" ".join(packages))
        _install(packages, log)
        missing = absent(programs)
    if missing:
        raise ToolchainError("board.missing", programs=", ".join(missing), packages=" ".join(packages))


def absent(programs: Iterable[str]) -> list[str]:
    return [program for program in programs if shutil.which(program) is None]


def _as_root() -> list[str] | None:
    """What stands before a command that needs root; None where we may not."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    asked = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    return None if asked.returncode else ["sudo", "-n"]


def _install(packages: list[str], log: Path) -> None:
    root = _as_root() or []
    log.parent.mkdir(parents=True, exist_ok=True)
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=120"]
    with log.open("ab") as output:
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
            subprocess.run(
                [*root, *quiet, *command],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                check=False,
            )


def version(program: str) -> str:
    """The first line that it says of itself."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.partition("\n")[0]
