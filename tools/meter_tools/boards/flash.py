"""Writes a built image onto a board, in this order, so that a wrong board loses nothing:

    1. there is an image, and the program that writes it
    2. it is clear which board: the port that was named, or the only candidate
    3. the board says which chip it is, and that is the chip of board.toml
    4. what the board keeps (key, journal, parameters) lies outside of what will be written
    5. the image is written, and read back where the program does that

No step erases the whole flash. What goes wrong in steps 1 to 4 is a FlashError and nothing was written; what goes
wrong in step 5 is a HalfWritten: the board may hold a part of an image, and is written again.
"""

from meter_tools import board_build
from meter_tools.boards.description import Board
from meter_tools.boards.dfu_writer import DfuWriter
from meter_tools.boards.esptool_writer import EsptoolWriter
from meter_tools.boards.mpremote_writer import MpremoteWriter
from meter_tools.boards.ports import choose
from meter_tools.boards.pyocd_writer import PyocdWriter
from meter_tools.boards.writer import FlashError, Progress, Writer
from meter_tools.told import Tell


def writer_for(board: Board, files: bool) -> Writer:
    """`files`: onto the official image that is on the board. FlashError for a board that nothing writes."""
    output = board_build.OUTPUT / board.name
    if files and board.description.port in ("esp32", "stm32"):
        return MpremoteWriter(board, output)
    match board.description.flash:
        case "esptool":
            return EsptoolWriter(board, output)
        case "dfu":
            return DfuWriter(board, output)
        case "pyocd":
            return PyocdWriter(board, output)
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
