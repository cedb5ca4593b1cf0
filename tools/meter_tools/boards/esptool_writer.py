"""ESP32 boards, through esptool: a program of its own, under the GPL, never imported.

What is written where stands in `flash_args`, which ESP-IDF's build makes. The board's own partition table is read
first: a board that keeps its data where the new table has something else is refused.
"""

import re
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path

from meter_tools.boards import partitions, ports, program
from meter_tools.boards.description import Board
from meter_tools.boards.writer import FlashError, Progress, Writer

FLASH_ARGS = "flash_args"
BAUD = "460800"

_CHIP = re.compile(r"^(?:Chip type:\s+|Chip is )(ESP[\w-]+)", re.MULTILINE)
_CONNECTED = re.compile(r"(?:Detecting chip type\.+|Connected to) (ESP[\w-]+)")
_AT = re.compile(r"Writing at 0x([0-9a-f]+)[ .]")


@dataclass(frozen=True)
class Segment:
    offset: int
    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size


class EsptoolWriter(Writer):
    no_candidate = "board.no_esp32"
    reads_back = True

    def __init__(self, board: Board, output: Path) -> None:
        super().__init__(board, output)
        (arguments,) = self.needs(FLASH_ARGS)
        self._options, self._segments = _flash_args(arguments)
        self.needs(*(str(segment.path.relative_to(output)) for segment in self._segments))
        self._program = program.find("esptool", "board.no_flash_program")
        self._chip = board.description.chip.lower().replace("-", "")

    def candidates(self) -> list[ports.Candidate]:
        return ports.serial_candidates("esp32")

    def commands(self, port: str) -> list[list[str]]:
        return [self._read_table(port, Path("TABLE")), self._write(port)]

    def _read_table(self, port: str, to: Path) -> list[str]:
        place = [hex(partitions.OFFSET), hex(partitions.LENGTH)]
        return [self._program, "--port", port, "read-flash", *place, str(to)]

    def _write(self, port: str) -> list[str]:
        pieces = [word for segment in self._segments for word in (hex(segment.offset), str(segment.path))]
        chosen = [self._program, "--chip", self._chip, "--port", port, "--baud", BAUD]
        return [*chosen, "write-flash", *self._options, *pieces]

    def identify(self, port: str, discard: bool) -> str:
        ports.check(port)
        with tempfile.TemporaryDirectory() as scratch:
            table = Path(scratch, "table.bin")
            outcome = program.run(self._read_table(port, table))
            found = _CHIP.search(outcome.text) or _CONNECTED.search(outcome.text)
            if found and found[1] != self.board.description.chip:
                raise self.wrong_chip(found[1], port)
            if outcome.code or not found:
                raise FlashError("board.no_answer_esp32", port=port, words=outcome.last_words)
            if not discard:
                self._check_layout(table.read_bytes(), port)
        return found[1]

    def _check_layout(self, on_board: bytes, port: str) -> None:
        new = next((segment for segment in self._segments if segment.offset == partitions.OFFSET), None)
        table = on_board if new is None else new.path.read_bytes()
        lost = [
            *partitions.lost(on_board, table),
            *(
                kept
                for kept in partitions.partitions(table)
                if kept.is_kept and any(kept.overlaps(segment.offset, segment.size) for segment in self._segments)
            ),
        ]
        if lost:
            raise FlashError("board.would_lose", port=port, parts=", ".join(map(str, lost)))

    def write(self, port: str, progress: Progress) -> None:
        total = sum(segment.size for segment in self._segments)
        heard = ""

        def hear(piece: str) -> None:
            nonlocal heard
            heard = (heard + piece)[-200:]
            if at := _AT.findall(heard):
                progress(self._done(int(at[-1], 16)), total)

        outcome = program.run(self._write(port), hear)
        if outcome.code:
            raise self.half_written(port, outcome)
        progress(total, total)

    def _done(self, address: int) -> int:
        """Bytes, of all segments in the order in which they are written; esptool pads each to whole words."""
        done = 0
        for segment in self._segments:
            if segment.offset <= address:
                done += min(address - segment.offset, segment.size)
        return done


def _flash_args(path: Path) -> tuple[list[str], list[Segment]]:
    """ESP-IDF's: a line of options, then a line for each file, `0x10000 micropython.bin`."""
    first, *rows = path.read_text().splitlines()
    # esptool 5 writes its options with hyphens.
    options = [word.replace("_", "-") if word.startswith("--") else word for word in shlex.split(first)]
    segments = []
    for row in rows:
        if row.strip():
            offset, name = row.split(maxsplit=1)
            segments.append(Segment(int(offset, 16), path.parent / name))
    return options, sorted(segments, key=lambda segment: segment.offset)
