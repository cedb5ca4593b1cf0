"""`boards/<board>/board.toml`: what people and programs must know of a board before they build or write it."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from meter_gateway.validated_toml import ConfigError, Table, problem, read
from meter_tools.mpycross import PROJECT

FILE = "board.toml"

OneLine = Annotated[str, Field(min_length=1, pattern=r"^[^\r\n]*$")]

Port = Literal["esp32", "stm32", "unix", "own"]
Status = Literal["ci", "by_hand", "built", "written"]
Link = Literal["mqtt", "serial"]
Provisioning = Literal["usb", "uart"]
Flash = Literal["esptool", "dfu", "pyocd", "none"]

FLASHED_WITH: dict[Port, tuple[Flash, ...]] = {
    "esp32": ("esptool",),
    "stm32": ("dfu", "pyocd"),
    "unix": ("none",),
    "own": ("dfu", "pyocd", "none"),
}


class Description(Table):
    title: OneLine = Field(examples=['"Nucleo-F429ZI with Ethernet and RS-485"'])
    title_zh: OneLine = Field(examples=['"Nucleo-F429ZI，以太网与 RS-485"'])
    chip: OneLine = Field(examples=['"ESP32-S3"'])
    """As the flashing tool names it; of an STM32 the part number."""

    port: Port = Field(examples=['"stm32"'])
    """`own`: the board's folder has port/Makefile."""

    base: Annotated[str, Field(pattern=r"^[A-Z0-9_]+$")] | None = Field(default=None, examples=['"NUCLEO_F429ZI"'])
    """The board of MicroPython's whose settings this one extends."""

    flash: Flash = Field(examples=['"esptool"'])
    """How an image of ours is written. Files alone, onto an official image, go by mpremote whatever this says."""

    link: Link = Field(examples=['"mqtt"'])
    provisioning: Provisioning = Field(examples=['"usb"'])
    status: Status = Field(examples=['"written"'])
    """DESIGN, Honest status."""

    evidence: OneLine = Field(examples=['"built with make BOARD=…, never run"'])
    """What was run, or the command that would prove it."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        is_upstream = self.port in ("esp32", "stm32")
        if is_upstream and self.base is None:
            raise problem(
                f'port "{self.port}" needs a base', 'add base = "…", a folder of its boards/ in MicroPython'
            )
        if not is_upstream and self.base is not None:
            raise problem(f'port "{self.port}" has no base', "remove base")
        if self.flash not in FLASHED_WITH[self.port]:
            known = " or ".join(f'"{name}"' for name in FLASHED_WITH[self.port])
            raise problem(f'a board of port "{self.port}" is not flashed by "{self.flash}"', f"flash = {known}")
        return self


class Board:
    """A folder below boards/, and what it says of itself."""

    def __init__(self, folder: Path, description: Description) -> None:
        self.folder = folder
        self.name = folder.name
        self.description = description

    @property
    def readme(self) -> Path:
        return self.folder / "README.md"


def names(project: Path = PROJECT) -> list[str]:
    return sorted(path.parent.name for path in project.glob(f"boards/*/{FILE}"))


def find(name: str, project: Path = PROJECT) -> Board:
    """ConfigError in one line if there is no such board, or its file does not hold."""
    folder = project / "boards" / name
    known = names(project)
    if name not in known:
        remedy = f"known: {', '.join(known)}" if known else "run this in a checkout of the project"
        raise ConfigError(folder / FILE, "", f"no board {name}", remedy)
    return Board(folder, read(folder / FILE, Description))


def all_boards(project: Path = PROJECT) -> list[Board]:
    return [find(name, project) for name in names(project)]
