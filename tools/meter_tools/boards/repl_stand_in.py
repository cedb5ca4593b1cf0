"""A stand-in for a board with MicroPython's REPL on its serial port: the real MicroPython, its Unix port.

The interpreter has a terminal of its own, and bytes are carried between that and the pseudo-terminal that a tool
opens. Where it ends, as at a soft reset, it is started again in the same folder, with a board's words; what is in
the folder is the board's file system. It is no STM32: it has no hard reset, no baud rate, no USB, no watchdog.

    pull_after       the cable is pulled when so many bytes have come
"""

import os
import select
import subprocess
import threading
import tty
from pathlib import Path

RAW_REPL = b"raw REPL; CTRL-B to exit\r\n"
DISGUISE = """
import sys
class Sys:
    class implementation:
        name, version, _mpy = sys.implementation[0], sys.implementation[1], sys.implementation._mpy
        _machine = {machine!r}
    def __getattr__(self, name, real=sys):
        return getattr(real, name)
sys.modules["sys"] = Sys()
"""
"""sys.implementation cannot be changed, but what `import sys` gives can."""

SOFT_REBOOT = b"MPY: soft reboot\r\n"


class MicroPythonBehindPty:
    def __init__(self, program: Path, folder: Path, machine: str, pull_after: int | None = None) -> None:
        """`machine`: what sys.implementation._machine shall say, so that it passes for a board."""
        self._program, self._folder, self._machine = program, folder, machine
        self.pull_after = pull_after
        self.heard = 0
        self._tool_end, self._port_end = os.openpty()
        self._board_end, self._repl_end = os.openpty()
        for end in (self._port_end, self._repl_end):
            tty.setraw(end)
        self.port = os.ttyname(self._port_end)
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join(10)
        os.close(self._port_end)

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [self._program, "-i", "-c", DISGUISE.format(machine=self._machine)],
            cwd=self._folder,
            stdin=self._repl_end,
            stdout=self._repl_end,
            stderr=self._repl_end,
            start_new_session=True,
        )

    def _serve(self) -> None:
        try:
            self._process = self._start()
            while not self._closing.is_set():
                ready = select.select([self._tool_end, self._board_end], [], [], 0.05)[0]
                if self._tool_end in ready:
                    chunk = os.read(self._tool_end, 4096)
                    self.heard += len(chunk)
                    if self.pull_after is not None and self.heard > self.pull_after:
                        break
                    os.write(self._board_end, chunk)
                if self._board_end in ready:
                    os.write(self._tool_end, os.read(self._board_end, 4096))
                if not ready and self._process.poll() is not None:
                    os.write(self._tool_end, SOFT_REBOOT)
                    self._process = self._start()
                    self._enter_raw_repl()
        except OSError:
            pass  # the cable was pulled
        finally:
            if self._process:
                self._process.kill()
                self._process.wait()
            # The port's end stays open: nobody else's pseudo-terminal may get its name.
            for end in (self._tool_end, self._board_end, self._repl_end):
                os.close(end)

    def _enter_raw_repl(self) -> None:
        """A board's soft reset stays in the raw REPL; the Unix port begins with the friendly one."""
        os.write(self._board_end, b"\r\x01")
        said = b""
        while RAW_REPL not in said:
            said += os.read(self._board_end, 4096)
        os.write(self._tool_end, said[said.index(RAW_REPL) :])
