"""Passphrases: from a file, the environment, or the keyboard; never from the command line, which others can
read."""

import os
from pathlib import Path

import typer

from meter_gateway.commands.terminal import Terminal
from meter_gateway.texts import Told


def passphrase(term: Terminal, prompt: str, variable: str, file: Path | None, confirm: bool = False) -> bytes:
    """`prompt` is a key of texts.toml. Told if it is empty."""
    if file is not None:
        found = file.read_text("utf-8", "replace").rstrip("\r\n")
    elif variable in os.environ:
        found = os.environ[variable]
    else:
        found = typer.prompt(term.say(prompt), hide_input=True, confirmation_prompt=confirm)
    if not found:
        raise Told("ca.empty_passphrase")
    return found.encode()
