"""Where the sources come from that boards' images are built of: MicroPython and Mbed TLS.

    1. the folder that an environment variable names, whatever its version
    2. what an earlier run fetched
    3. a git clone of the pinned tag, where git reaches it
    4. Debian's source package, through apt with lists, cache and settings of its own: its line is this machine's
       own for the Debian archive, with the suite replaced. apt checks what comes against the archive's signature.

Debian's packages lack the submodules, so a board that is to be built from them must need none. Debian may have a
later bug-fix release than the pinned one: that is taken, and said.
"""

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from meter_tools.told import Tell, ToolError, tell_in_english

SUITE = "trixie"
"""Of Debian: the one that has both."""

NOTE = "fetched.txt"
"""In what was fetched: the version that was pinned then, and where it came from."""

REACH_S = 10
FETCH_S = 300
OS_RELEASE = Path("/etc/os-release")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""Where Debian's package debian-archive-keyring puts it."""


@dataclass(frozen=True)
class Upstream:
    name: str
    version: str
    """The pinned one."""

    variable: str
    repository: str
    tag: str
    package: str
    """Debian's."""

    header: str
    """A file that states the version, as three macros whose names end with `macros`."""

    macros: tuple[str, str, str]


MICROPYTHON = Upstream(
    name="MicroPython",
    version="1.25.0",
    variable="MICROPYTHON_DIR",
    repository="https://github.com/micropython/micropython",
    tag="v1.25.0",
    package="micropython",
    header="py/mpconfig.h",
    macros=("MICROPY_VERSION_MAJOR", "MICROPY_VERSION_MINOR", "MICROPY_VERSION_MICRO"),
)
MBEDTLS = Upstream(
    name="Mbed TLS",
    version="3.6.6",
    variable="MBEDTLS_SOURCE",
    repository="https://github.com/Mbed-TLS/mbedtls",
    tag="mbedtls-3.6.6",
    package="mbedtls",
    header="include/mbedtls/build_info.h",
    macros=("MBEDTLS_VERSION_MAJOR", "MBEDTLS_VERSION_MINOR", "MBEDTLS_VERSION_PATCH"),
)


class SourceError(ToolError):
    """There is no source; one line with the remedy."""


@dataclass(frozen=True)
class Source:
    folder: Path
    upstream: Upstream
    version: str
    origin: str

    def __str__(self) -> str:
        other = "" if self.version == self.upstream.version else f" (pinned is {self.upstream.version})"
        return f"{self.upstream.name} {self.version}{other} from {self.origin}"


def find(upstream: Upstream, cache: Path, tell: Tell = tell_in_english) -> Source:
    """The source, fetched into `cache` where it has to be."""
    found = here(upstream, cache)
    if found is None:
        tell("board.fetching", name=upstream.name, version=upstream.version)
        _fetch(upstream, folder_in(cache, upstream))
        found = here(upstream, cache)
    assert found is not None  # noqa: S101  what _fetch promises
    return found


def here(upstream: Upstream, cache: Path) -> Source | None:
    """The source, if nothing need be fetched for it."""
    chosen = os.environ.get(upstream.variable)
    if chosen:
        folder = Path(chosen).resolve()
        return Source(folder, upstream, version_of(upstream, folder), upstream.variable)
    folder = folder_in(cache, upstream)
    note = folder / NOTE
    if not note.exists() or note.read_text().split("\n")[0] != upstream.version:
        return None
    return Source(folder, upstream, version_of(upstream, folder), note.read_text().split("\n")[1])


def planned(upstream: Upstream, cache: Path) -> Source:
    """What `find` would give, fetching nothing: the version is the pinned one then."""
    found = here(upstream, cache)
    ways = f"git ({upstream.repository}, {upstream.tag}), else Debian {SUITE}'s source package {upstream.package}"
    return found or Source(folder_in(cache, upstream), upstream, upstream.version, ways)


def folder_in(cache: Path, upstream: Upstream) -> Path:
    return cache / upstream.package


def version_of(upstream: Upstream, folder: Path) -> str:
    try:
        text = (folder / upstream.header).read_text()
    except OSError:
        raise SourceError(
            "board.no_source_there", folder=folder, name=upstream.name, variable=upstream.variable
        ) from None
    numbers = [re.search(rf"define +{macro} +(\d+)", text) for macro in upstream.macros]
    return ".".join(number[1] if number else "?" for number in numbers)


def _fetch(upstream: Upstream, folder: Path) -> None:
    """All of it, or nothing, is in `folder` then."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        fresh = Path(scratch, "source")
        origin = _clone(upstream, fresh) or _from_debian(upstream, fresh, Path(scratch))
        version = version_of(upstream, fresh)
        if version.split(".")[:2] != upstream.version.split(".")[:2]:
            raise SourceError("board.other_source", origin=origin, found=version, **_wanted(upstream))
        (fresh / NOTE).write_text(f"{upstream.version}\n{origin}\n")
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)


def _clone(upstream: Upstream, into: Path) -> str | None:
    """The origin; None where git does not reach it."""
    try:
        _run(["git", "ls-remote", "--exit-code", "--tags", upstream.repository, upstream.tag], REACH_S)
    except SourceError:
        return None
    _run(["git", "clone", "--quiet", "--depth=1", f"--branch={upstream.tag}", upstream.repository, into])
    return f"git, tag {upstream.tag}"


def _from_debian(upstream: Upstream, into: Path, scratch: Path) -> str:
    archive = debian_archive()
    if archive is None:
        raise SourceError("board.no_source", repository=upstream.repository, **_wanted(upstream))
    _unpack(_tarball(upstream, archive, scratch), into)
    return f"Debian {SUITE}'s source package {upstream.package}"


def debian_archive() -> str | None:
    """The address from which this machine takes its Debian, by apt's own reading of its settings."""
    try:
        release = dict(line.split("=", 1) for line in OS_RELEASE.read_text().splitlines() if "=" in line)
        rows = _run(["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"])
    except (OSError, SourceError):
        return None
    return archive_among(rows.splitlines(), release.get("VERSION_CODENAME", "").strip('"'))


def archive_among(rows: Iterable[str], codename: str) -> str | None:
    """The address in the first of apt's rows that is for the release itself, not for its updates."""
    for row in rows:
        release, address = row.split()
        if release == codename:
            return address
    return None


def _tarball(upstream: Upstream, archive: str, scratch: Path) -> Path:
    """Upstream's part of the source package, as the archive signs for it."""
    signed_by = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    sources = scratch / "sources.list"
    sources.write_text(f"deb-src {signed_by}{archive} {SUITE} main\n")
    settings = {
        "Dir::State::Lists": scratch / "lists",
        "Dir::Cache": scratch / "cache",
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "/dev/null",
        "APT::Sandbox::User": "",
    }
    apt = ["apt-get", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]
    (scratch / "lists" / "partial").mkdir(parents=True)
    (scratch / "cache" / "archives" / "partial").mkdir(parents=True)
    _run([*apt, "update"])
    _run([*apt, "source", "--download-only", upstream.package], folder=scratch)
    found = sorted(scratch.glob(f"{upstream.package}_*.orig.tar.*"))
    if not found:
        raise SourceError("board.not_in_debian", suite=SUITE, **_wanted(upstream))
    return found[0]


def _wanted(upstream: Upstream) -> dict[str, str]:
    return {"name": upstream.name, "version": upstream.version, "variable": upstream.variable}


def _unpack(tarball: Path, into: Path) -> None:
    """What the tarball's one folder holds."""
    with tarfile.open(tarball) as archive:
        if hasattr(tarfile, "data_filter"):  # Debian 12's Python is older; apt has checked it
            archive.extraction_filter = tarfile.data_filter
        top = archive.getnames()[0].partition("/")[0]
        archive.extractall(into.parent / "unpacked")  # noqa: S202  filtered above
    (into.parent / "unpacked" / top).rename(into)


def _run(command: Sequence[str | Path], limit_s: float = FETCH_S, folder: Path | None = None) -> str:
    """What it printed; SourceError with its last words."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=limit_s,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        )
    except subprocess.CalledProcessError as error:
        words = (error.stderr or error.stdout).strip().splitlines()
        raise SourceError(
            "board.program_failed", program=command[0], words=words[-1] if words else error
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceError("board.program_failed", program=command[0], words=error) from None
    return done.stdout
