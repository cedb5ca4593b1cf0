"""One board, from its hello to its label.

1. Hello: the board proves its key (a signature over our nonce, and its request). Its model is one of the
   settings', its key protection what the maker says of that model.
2. A board that has a record is finished, if an interrupted run of ours gave it that; else refused, or replaced.
3. The serial number: the one that this key was given before, the one asked for, or the next; nobody else's.
4. The CA certifies the key, the authority seals the default set and the record.
5. The database says `started`. Only now is the board offered anything.
6. The board answers that it has the record; as a meter it says so again, with the record's digest.
7. The label is written, the database says `complete`.

What stops in between leaves `started`, then `failed` with the reason where there is time to say it; the next run
finds either, and the board itself knows whether it has the record.
"""

import datetime as dt
import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from meter_gateway import revocation
from meter_gateway.maker import certificates_of
from meter_gateway.parameters import load_public_key, read_parameters, seal_parameters
from meter_gateway.sealing import Sealer
from meter_gateway.texts import Code, Told
from meter_protocol import first_contact as fc
from meter_tools.dry_run import check_folder
from meter_tools.provisioning import ca, ca_files, export, host_clock, label
from meter_tools.provisioning import settings as settings_file
from meter_tools.provisioning.board import Head, Hello, command_message, record_message
from meter_tools.provisioning.factory_db import FactoryDb, Happening, State
from meter_tools.provisioning.line import Line
from meter_tools.provisioning.settings import PROTECTIONS, SERIAL_PATTERN, Settings

DROP_TRIES = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    serial: str
    thumbprint: bytes
    model: str
    software_id: bytes
    state: str
    """complete, finished (of an interrupted run), would (dry run)"""

    files: tuple[Path, ...] = ()


class Workshop:
    """What all boards of a run share. `now` gives aware datetimes, `say` a line for the operator."""

    def __init__(
        self,
        path: Path,
        settings: Settings,
        authority: ca.Authority,
        sealer: Sealer,
        database: FactoryDb,
        operator: str,
        now: Callable[[], dt.datetime],
        say: Callable[..., None],
    ) -> None:
        self.settings = settings
        self.authority = authority
        self.sealer = sealer
        self.database = database
        self.say = say
        self._operator = operator
        self._now = now
        self.link = settings_file.link_fields(path, settings.link)
        self.update_keys = [load_public_key(key) for key in settings.update_keys]

    def now(self) -> dt.datetime:
        return self._now()

    def now_ms(self) -> int:
        return int(self._now().timestamp() * 1000)

    def note(self, state: State, hello: Hello, serial: str, **more: Any) -> None:
        hardware: bytes | None = hello.fields[fc.HELLO_HARDWARE_ID]
        happening = Happening(
            self.now_ms(), self._operator, state, hello.thumbprint, serial, hello.model, hardware, **more
        )
        if state == "started":
            self.database.start(happening)
            ca_files.note_database(self.settings.ca, self.database.path.resolve())
        else:
            self.database.add(happening)


def provision(shop: Workshop, line: Line, serial: str | None, replace: bool, dry_run: bool) -> Outcome:
    """Told with the one thing that the operator has to do, if it cannot be done."""
    host_clock.check_issuing(shop.now(), shop.authority, shop.database.newest_ms())
    hello = line.hello()
    protection = _check_board(shop, hello)
    # Before the board has anything, and before an old meter has forgotten anything.
    label.check_font(shop.settings.label.font, hello.model, hello.maker)
    check_folder(shop.settings.label.folder)
    _first_set(shop, hello)
    if hello.is_meter:
        finished = _finish(shop, hello, dry_run)
        if finished is not None:
            return finished
        if not replace:
            raise Told("provision.already", serial=hello.serial, thumbprint=hello.thumbprint.hex())
        serial = hello.serial if serial is None else serial
        if dry_run:
            shop.say("provision.would_replace", serial=hello.serial, sequence=(hello.head or (b"", -1))[1])
            return _outcome(hello, serial or "", "would")
        hello = _replace(shop, line, hello)
        protection = _check_board(shop, hello)
    chosen = _serial(shop, hello, serial)
    if dry_run:
        shop.say("provision.would", serial=chosen, model=hello.model, thumbprint=hello.thumbprint.hex())
        return _outcome(hello, chosen, "would")
    return _provision(shop, line, hello, chosen, protection)


def _check_board(shop: Workshop, hello: Hello) -> int:
    """The key protection that the maker states."""
    known = shop.settings.boards
    if hello.model not in known:
        raise Told("provision.wrong_board", model=hello.model, known=", ".join(sorted(known)))
    expected = PROTECTIONS[known[hello.model].key_protection]
    if hello.fields[fc.HELLO_KEY_PROTECTION] != expected:
        stated = next(n for n, code in PROTECTIONS.items() if code == hello.fields[fc.HELLO_KEY_PROTECTION])
        told = {"model": hello.model, "expected": known[hello.model].key_protection}
        raise Told("provision.wrong_protection", stated=stated, **told)
    return expected


def _finish(shop: Workshop, hello: Hello, dry_run: bool) -> Outcome | None:
    """A meter that an interrupted run has given its record, and whose label is missing."""
    newest, started = shop.database.newest(hello.thumbprint), shop.database.started(hello.thumbprint)
    if newest is None or started is None or newest.state not in ("started", "failed"):
        return None
    if started.record_digest != hello.record:
        return None
    if dry_run:
        shop.say("provision.would_finish", serial=started.serial)
        return _outcome(hello, started.serial, "would")
    files = _complete(shop, hello, started.serial)
    return _outcome(hello, started.serial, "finished", files)


def _serial(shop: Workshop, hello: Hello, asked: str | None) -> str:
    """Told if it is another board's, or not one."""
    before = shop.database.newest(hello.thumbprint)
    if before is not None and before.state == "replaced":
        raise Told("provision.old_key", thumbprint=hello.thumbprint.hex())
    if before is not None:
        if asked not in (None, before.serial):
            raise Told("provision.has_serial", serial=before.serial, asked=asked)
        return before.serial
    chosen = shop.database.next_serial(shop.settings.serial) if asked is None else asked
    if not re.fullmatch(SERIAL_PATTERN, chosen):
        raise Told("provision.bad_serial", serial=chosen)
    holder = shop.database.holder(chosen)
    if holder is not None and holder.thumbprint != hello.thumbprint:
        raise Told("provision.serial_used", serial=chosen, thumbprint=holder.thumbprint.hex())
    return chosen


def _provision(shop: Workshop, line: Line, hello: Hello, serial: str, protection: int) -> Outcome:
    now = shop.now()
    certificate = ca.issue(shop.authority, hello.request, hello.maker, serial, protection, now)
    chain = ca.chain_of(certificate, shop.authority)
    first_set = _first_set(shop, hello)
    digest = None if first_set is None else hashlib.sha256(first_set).digest()
    body = {
        fc.RECORD_SERIAL: serial,
        fc.RECORD_AUTHORITY_KEYS: [shop.sealer.cose_key],
        fc.RECORD_UPDATE_KEYS: shop.update_keys,
        fc.RECORD_CERTIFICATE: chain,
        fc.RECORD_LINK: shop.link,
        fc.RECORD_PARAMETER_SET: digest,
    }
    record = record_message(shop.sealer, hello.thumbprint, body, shop.now_ms())
    record_digest = hashlib.sha256(record).digest()
    shop.note("started", hello, serial, certificate=chain, record_digest=record_digest, parameters_digest=digest)
    shop.say("provision.offering", serial=serial)
    try:
        reason = line.offer(hello, first_set, record)
        # An answer was lost, and what is a meter by now refuses the repeated record: its hello says which it has.
        if reason not in (None, "factory_provisioned"):
            raise Told("provision.refused", reason=Code(reason))
        _await_meter(line, hello, record_digest)
    except Told as error:
        shop.note("failed", hello, serial, note=error.key)
        raise
    return _outcome(hello, serial, "complete", _complete(shop, hello, serial))


def _first_set(shop: Workshop, hello: Hello) -> bytes | None:
    path = shop.settings.parameters
    if path is None:
        return None
    return seal_parameters(path, read_parameters(path, hello.thumbprint, shop.now_ms()), shop.sealer)


def _await_meter(line: Line, before: Hello, record_digest: bytes) -> None:
    """The same key, with the record: the board has started anew as a meter."""
    if (
        line.await_hello(lambda hello: (hello.thumbprint, hello.record) == (before.thumbprint, record_digest))
        is None
    ):
        raise Told("provision.no_start", port=line.port)


def _complete(shop: Workshop, hello: Hello, serial: str) -> tuple[Path, ...]:
    folder, font = shop.settings.label.folder, shop.settings.label.font
    folder.mkdir(parents=True, exist_ok=True)
    told = (hello.maker, hello.model, serial, hello.thumbprint)
    name = _file_name(serial, hello.thumbprint)
    printed = label.pdf(*told, font)
    files = (folder / f"{name}.pdf", folder / f"{name}.png")
    _write(files[0], printed)
    _write(files[1], label.png(*told, font))
    shop.note("complete", hello, serial, label_digest=hashlib.sha256(printed).digest())
    return files


def _replace(shop: Workshop, line: Line, hello: Hello) -> Hello:
    """Journal out, old key revoked at its cut, board made new; the hello of the new key.

    The cut is in the database, the list and a file before the board is told to forget. If it does not, the next
    run goes on from here, and the cut moves with its head.
    """
    serial = hello.serial or ""
    if hello.record is None:
        raise Told("provision.development", serial=serial)
    folder = shop.settings.database.parent / "journals"
    name = f"{_file_name(serial, hello.thumbprint)}-{shop.now():%Y%m%dT%H%M%S}"
    journal = export.Export(folder / f"{name}.cbor", hello)
    try:
        for _ in range(DROP_TRIES):
            head = journal.run(line, hello, shop.sealer, shop.now_ms())
            _revoke(shop, hello, serial, head, journal.path)
            reason = line.drop(hello, command_message(shop.sealer, hello, fc.DROP, head, shop.now_ms()))
            if reason is None:
                break
            if reason != "factory_head":
                raise Told("provision.refused", reason=Code(reason))
            hello = line.hello()
        else:
            raise Told("provision.head_moves", serial=serial)
    except BaseException:
        journal.abandon()
        raise
    journal.finish()
    _say_exported(shop, journal)
    return _await_new_key(line, hello)


def _say_exported(shop: Workshop, journal: export.Export) -> None:
    shop.say("provision.exported", path=journal.path, messages=journal.messages)
    for run in journal.runs:
        epoch = run.epoch.hex()
        if run.lost_before:
            first, last = run.first - run.lost_before, run.first - 1
            shop.say("provision.exported_gap", epoch=epoch, first=first, last=last, messages=run.lost_before)
        elif run.first:
            shop.say("provision.exported_from", epoch=epoch, first=run.first)
        shop.say("provision.exported_run", epoch=epoch, first=run.first, last=run.last)


def _revoke(shop: Workshop, hello: Hello, serial: str, head: Head | None, journal: Path) -> None:
    folder = shop.settings.database.parent / "revocations"
    folder.mkdir(parents=True, exist_ok=True)
    cut = None if head is None else revocation.Cut(*head)
    path = folder / f"{_file_name(serial, hello.thumbprint)}.json"
    revocation.save(path, serial, hello.thumbprint, "replaced at the maker's: new key, new epoch", cut, shop.now())
    started = shop.database.started(hello.thumbprint)
    if started is not None and started.certificate is not None:
        number = certificates_of(started.certificate)[0].serial_number
        ca_files.revoke(shop.settings.ca, shop.authority, number, x509.ReasonFlags.superseded, shop.now())
    epoch, sequence, digest = head or (None, None, None)
    shop.note("replaced", hello, serial, note=str(journal), epoch=epoch, sequence=sequence, hash=digest)


def _await_new_key(line: Line, old: Hello) -> Hello:
    hello = line.await_hello(lambda hello: hello.thumbprint != old.thumbprint and not hello.is_meter)
    if hello is None:
        raise Told("provision.no_new_key", port=line.port)
    return hello


def _outcome(hello: Hello, serial: str, state: str, files: tuple[Path, ...] = ()) -> Outcome:
    return Outcome(serial, hello.thumbprint, hello.model, hello.software_id, state, files)


def _file_name(serial: str, thumbprint: bytes) -> str:
    """Two keys may have had one serial number; a dot would hide the file."""
    return f"{serial.lstrip('.') or 'meter'}-{thumbprint.hex()[:16]}"


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    handle, fresh = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(fresh).chmod(0o644)
    Path(fresh).replace(path)
