"""Passphrases: from a file, the environment, or the keyboard; never from the command line, which others can
read."""

import os
import stat
from pathlib import Path

import typer

from meter_gateway.commands.terminal import Terminal
from meter_gateway.texts import Told

MAX_BYTES = 1023
"""OpenSSL's PEM_BUFSIZE less one."""


def passphrase(term: Terminal, prompt: str, variable: str, file: Path | None, confirm: bool = False) -> bytes:
    """`prompt` is a key of texts.toml. Told if it is empty, longer than OpenSSL takes, or open to others."""
    if file is not None:
        found = _line_of(file)
    elif variable in os.environ:
        found = os.fsencode(os.environ[variable])
    else:
        found = os.fsencode(typer.prompt(term.say(prompt), hide_input=True, confirmation_prompt=confirm))
    if not found:
        raise Told("ca.empty_passphrase")
    if len(found) > MAX_BYTES:
        raise Told("ca.long_passphrase", most=MAX_BYTES)
    return found


def _line_of(path: Path) -> bytes:
    mode = path.stat().st_mode
    # A pipe is nobody else's.
    if stat.S_ISREG(mode) and mode & stat.S_IRWXO:
        raise Told("ca.open", path=path, found=f"{stat.S_IMODE(mode):04o}", mode="600")
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 3).rstrip(b"\r\n")
