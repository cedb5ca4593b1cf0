"""A damaged private key in the flash of any board: MicroPython on the host mounts its file system."""

import subprocess
from pathlib import Path

from meter_tools.mpycross import PROJECT, interpreter

FLIP_KEY = Path(__file__).parent / "on_board" / "flip_key.py"
FIRMWARE = f"{PROJECT / 'firmware'}:{PROJECT / 'protocol'}"


def flip_bit_of_key(flash: Path, copies: int = 2, sealed: bool = False) -> None:
    """In so many of the key's two copies; once more puts it right. `sealed`: the copy's checksum fits."""
    command = [str(interpreter()), str(FLIP_KEY), str(flash), str(copies), "sealed" if sealed else "torn"]
    subprocess.run(command, env={"MICROPYPATH": FIRMWARE}, check=True)
