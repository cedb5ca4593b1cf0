"""What writes a board: one program, which asks a board what it is before it writes anything."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from meter_tools.boards.description import Board
from meter_tools.boards.ports import Candidate
from meter_tools.boards.program import Outcome
from meter_tools.told import ToolError

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
