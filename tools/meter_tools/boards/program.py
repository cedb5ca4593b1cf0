"""The programs that write boards: found, run, and read while they run. None of them is imported (licences)."""

import codecs
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from meter_tools.told import ToolError

LAST_WORDS = 200
"""Characters of a program's own words that a message quotes at most."""

CHUNK = 4096

SILENT_S = 120
"""A whole chip's erasure is the longest that any of them keeps silent."""

Hear = Callable[[str], None]
"""Gets what a program says as it comes, in pieces."""


class ProgramError(ToolError):
    """The program is not there."""


@dataclass(frozen=True)
class Outcome:
    code: int
    text: str

    @property
    def last_words(self) -> str:
        """What it said of its failure: its last line that says so, else its last line."""
        lines = [line.strip() for line in self.text.replace("\r", "\n").splitlines() if line.strip()]
        blames = [line for line in lines if "rror" in line or "ailed" in line]
        words = (blames or lines or [f"exit code {self.code}"])[-1]
        return words if len(words) <= LAST_WORDS else words[: LAST_WORDS - 1] + "…"


def find(name: str, remedy: str) -> str:
    """The program beside this Python, else on PATH; ProgramError, whose key `remedy` says how to get it."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(name, path=beside)
    if found is None:
        raise ProgramError(remedy, program=name)
    return found


def deaf(_: str) -> None:
    pass


def run(
    command: Sequence[str], hear: Hear = deaf, folder: Path | None = None, silent_s: float = SILENT_S
) -> Outcome:
    """Runs it to its end, or until it has said nothing for so long."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    said = []
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101  it is a pipe
            out = process.stdout.fileno()
            while select.select([out], [], [], silent_s)[0]:
                chunk = os.read(out, CHUNK)
                if not chunk:
                    break
                piece = decoder.decode(chunk)
                said.append(piece)
                hear(piece)
            else:
                said.append(f"\nError: silent for {silent_s} s")
                process.terminate()
        except BaseException:
            process.terminate()
            raise
    return Outcome(process.returncode, "".join(said))
