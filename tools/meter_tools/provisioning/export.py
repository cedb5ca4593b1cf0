"""The journal of a meter that is given up: its original bytes in a file, checked as they come.

The file is a CBOR sequence of messages (SPEC §1), which `carbonmeter verify` takes. It has its name only when
it ends with the head that the board has shown. What the flash has lost before that is not in it: `runs` tells.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from meter_gateway.model import Rejected
from meter_gateway.sealing import Sealer
from meter_gateway.texts import Code, Told
from meter_gateway.verify import KeyRing, verify
from meter_protocol import cose
from meter_protocol import fields as f
from meter_protocol import first_contact as fc
from meter_protocol import types as t
from meter_tools.provisioning.board import Head, Hello, Place, command_message
from meter_tools.provisioning.line import Line

MAX_REQUESTS = 100_000


@dataclass(slots=True)
class Run:
    """Consecutive messages of one chain."""

    epoch: bytes
    first: int
    last: int
    lost_before: int = 0
    """Messages of the same chain between the run before and this one."""


class Export:
    """Appends to `path`.part what the board gives out; `finish` gives the file its name."""

    def __init__(self, path: Path, hello: Hello) -> None:
        self.path = path
        self.messages = 0
        self.reached: Head | None = None
        self.runs: list[Run] = []
        self._ring = KeyRing([hello.key], t.CHAIN_TYPES)
        self._part = path.with_name(path.name + ".part")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            raise Told("provision.journal_exists", path=path)
        self._file = self._part.open("wb")

    def run(self, line: Line, hello: Hello, authority: Sealer, now_ms: int) -> Head | None:
        """Everything from where it stands to the head that this hello shows; the head."""
        for _ in range(MAX_REQUESTS):
            if self.reached == hello.head:
                break
            raw = command_message(authority, hello, fc.EXPORT, self._next_place(), now_ms)
            before = self.messages
            reason, messages = line.export(hello, raw)
            if reason is not None:
                raise Told("provision.not_exported", reason=Code(reason))
            for message in cose.split_sequence(messages):
                self._take(message)
            if self.messages == before:
                told = {"path": self._part, "messages": self.messages}
                raise Told("provision.journal_ends", head=(hello.head or (b"", -1))[1], **told)
        self._file.flush()
        os.fsync(self._file.fileno())
        return self.reached

    def finish(self) -> None:
        self._file.close()
        self._part.replace(self.path)

    def abandon(self) -> None:
        """What came so far stays as .part: it may be all that will ever be had."""
        self._file.close()

    def _next_place(self) -> Place | None:
        return None if self.reached is None else (self.reached[0], self.reached[1] + 1)

    def _take(self, message: bytes) -> None:
        try:
            verified = verify(message, self._ring, 0)
        except Rejected as error:
            raise Told("provision.not_exported", reason=Code(error.reason)) from error
        fields = verified.fields
        place = (fields[f.EPOCH], fields[f.SEQUENCE])
        before = self.reached
        if before is not None and before[0] == place[0]:
            if place[1] <= before[1]:
                return  # asked again, given again
            if place[1] == before[1] + 1 and fields[f.PREVIOUS] != before[2]:
                raise Told("provision.broken_chain", sequence=place[1], path=self._part)
        self._file.write(message)
        self.messages += 1
        self._count(*place)
        self.reached = (*place, verified.hash)

    def _count(self, epoch: bytes, sequence: int) -> None:
        run = self.runs[-1] if self.runs and self.runs[-1].epoch == epoch else None
        if run is not None and sequence == run.last + 1:
            run.last = sequence
        else:
            lost = 0 if run is None else sequence - run.last - 1
            self.runs.append(Run(epoch, sequence, sequence, lost))
