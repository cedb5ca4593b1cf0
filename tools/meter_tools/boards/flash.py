"""Writes a built image onto a board, in this order, so that a wrong board loses nothing:

    1. there is an image, and the program that writes it
    2. it is clear which board: the port that was named, or the only candidate
    3. the board says which chip it is, and that is the chip of board.toml
    4. what the board keeps (key, journal, parameters) lies outside of what will be written
    5. the image is written, and read back where the program does that

No step erases the whole flash. What goes wrong in steps 1 to 4 is a FlashError and nothing was written; what goes
wrong in step 5 is a HalfWritten: the board may hold a part of an image, and is written again.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from meter_tools import board_build
from meter_tools.boards.description import Board
from meter_tools.boards.ports import Candidate, choose
from meter_tools.boards.program import Outcome
from meter_tools.told import Tell, ToolError

Progress = Callable[[int, int], None]
"""Done, of how many."""


class FlashError(ToolError):
    """Nothing was written."""


class HalfWritten(ToolError):
    """Writing began and did not end well."""


class Writer(ABC):
    """One program that writes boards."""

    no_candidate: str
    """Key of the text that says how a board comes to be seen."""

    reads_back = False
    """Whether what was written is compared with what the board holds then."""

    def __init__(self, board: Board, output: Path) -> None:
        """FlashError if there is no image, ProgramError if there is no program."""
        self.board = board
        self.output = output

    @abstractmethod
    def candidates(self) -> Sequence[Candidate]:
        """Boards that can be seen, as far as it shows without touching them."""

    @abstractmethod
    def identify(self, port: str, discard: bool) -> str:
        """What the board says it is; FlashError if that is another one, or what it keeps would be lost."""

    @abstractmethod
    def commands(self, port: str) -> list[list[str]]:
        """What `identify` and `write` run, in this order."""

    @abstractmethod
    def write(self, port: str, progress: Progress) -> None:
        """HalfWritten unless all of it is on the board then."""

    def needs(self, *names: str) -> list[Path]:
        """The files of the image; FlashError if one was not built."""
        paths = [self.output / name for name in names]
        for path in paths:
            if not path.exists():
                raise FlashError("board.no_image", board=self.board.name, path=path)
        return paths

    def wrong_chip(self, found: str, port: str) -> FlashError:
        return FlashError(
            "board.wrong_chip", board=self.board.name, chip=self.board.description.chip, found=found, port=port
        )

    def half_written(self, port: str, outcome: Outcome) -> HalfWritten:
        return HalfWritten("board.half_written", board=self.board.name, port=port, words=outcome.last_words)


def writer_for(board: Board, files: bool) -> Writer:
    """`files`: onto the official image that is on the board. FlashError for a board that nothing writes."""
    from meter_tools.boards import dfu_writer, esptool_writer, mpremote_writer, pyocd_writer  # noqa: PLC0415

    output = board_build.OUTPUT / board.name
    if files and board.description.port in ("esp32", "stm32"):
        return mpremote_writer.MpremoteWriter(board, output)
    match board.description.flash:
        case "esptool":
            return esptool_writer.EsptoolWriter(board, output)
        case "dfu":
            return dfu_writer.DfuWriter(board, output)
        case "pyocd":
            return pyocd_writer.PyocdWriter(board, output)
        case "none" if board.description.port == "unix":
            raise FlashError("board.host_is_not_flashed", board=board.name)
        case "none":
            raise FlashError("board.emulated_is_not_flashed", board=board.name)


def flash(writer: Writer, asked: str | None, discard: bool, tell: Tell, progress: Progress) -> None:
    """`discard`: also where what the board keeps is lost by it."""
    board = writer.board
    port = choose(asked, writer.candidates(), writer.no_candidate)
    tell("board.looks", board=board.name, port=port)
    tell("board.is_right", port=port, found=writer.identify(port, discard))
    writer.write(port, progress)
    tell("board.did_verify" if writer.reads_back else "board.did_flash", board=board.name, port=port)
