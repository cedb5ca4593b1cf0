"""A NUCLEO-F429ZI in Renode with MicroPython's own image, and the program chip_meter.py on its filesystem."""

from pathlib import Path

from hil_tests.chips import filesystem
from hil_tests.platforms import PlatformError
from hil_tests.platforms.renode_monitor import monitor
from meter_tools.mpycross import PROJECT

SCRIPT = PROJECT / "boards" / "nucleo_f429zi" / "nucleo_f429zi.resc"
PROGRAM = Path(__file__).parent / "on_board" / "chip_meter.py"
LOADERS = {".elf": "LoadELF", ".hex": "LoadHEX"}


class Nucleo:
    """`image` is MicroPython's firmware.elf or .hex. Made without power."""

    def __init__(self, folder: Path, image: Path) -> None:
        if image.suffix not in LOADERS:
            raise PlatformError(f"{image}: an image is one of {', '.join(LOADERS)}")
        self._image = image
        self._filesystem = filesystem.make(folder, PROGRAM)
        self._console = folder / "console.log"
        self._console.touch()
        self._monitor = monitor()

    def power_on(self) -> None:
        for command in (
            "Clear",
            f"include @{SCRIPT}",
            f"sysbus {LOADERS[self._image.suffix]} @{self._image}",
            f"sysbus LoadBinary @{self._filesystem} {filesystem.START:#x}",
            "runMacro $reset",
            f'sysbus.usart3 AppendToHostFile "{self._console}"',
            "start",
        ):
            self._monitor.do(command)

    def cut_power(self) -> None:
        self._monitor.do("pause")
        self._monitor.do("Clear")

    def do(self, command: str) -> None:
        self._monitor.do(f"sysbus.{command}")

    def time_ms(self) -> int:
        """Since it was powered on."""
        return self._monitor.time_ms()

    def console(self) -> str:
        return self._console.read_text(errors="replace")

    def check(self) -> None:
        self._monitor.check()
