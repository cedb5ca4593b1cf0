"""What a board answers on its provisioning line (SPEC §16): who it is, whether it takes a record, what it drops.

One question, its answers; nothing here waits or sends. What is not understood gets none: whoever asked asks again.
A board that has a record tells who it is and obeys the authorities of that record; without one it believes whoever
is at the line, for that line ends at the maker's bench.
"""

import hashlib

from meter_firmware import csr, factory, parameters, sealing
from meter_protocol import cose
from meter_protocol import fields as f
from meter_protocol import first_contact as fc
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from meter_firmware.memory import Memory

    Head = tuple[bytes, int, bytes]

MAX_PAYLOAD = 8192
EXPORT_BYTES = 4096
_MAP = 0xA0
_MAJOR = 0xE0


class Chain:
    """What a board without a record has of a chain: nothing."""

    head: "Head | None" = None

    def records(self, place: "tuple[bytes, int] | None") -> "Any":
        return iter(())


class FirstContact:
    """`seal_about_us(typ, body)` seals a message that stands alone; `chain` has `head` and `records(place)`."""

    def __init__(
        self,
        board: "Any",
        memory: "Memory",
        sealer: "sealing.Sealer",
        software_id: bytes,
        seal_about_us: "Callable[[str, dict[int, Any]], bytes]",
        chain: "Any",
    ) -> None:
        self._board = board
        self._memory = memory
        self._sealer = sealer
        self._software_id = software_id
        self._seal_about_us = seal_about_us
        self._chain = chain
        self._nonce: bytes = board.random(fc.NONCE_SIZE)
        # Kept for the record that names it by its digest.
        self._offered_set: "bytes | None" = None
        self.restart_wanted = False

    def answer(self, payload: bytes) -> "list[bytes]":
        """Payloads to send, in order."""
        try:
            if len(payload) > MAX_PAYLOAD:
                raise ProtocolError("cose_too_large")
            if payload and payload[0] & _MAJOR == _MAP:
                return [self._hello(fc.nonce_of_request(payload))]
            return self._take(payload, cose.split(payload).typ)
        except ProtocolError:
            return []

    def _take(self, raw: bytes, typ: str) -> "list[bytes]":
        if typ == t.PARAMETER_SET and self._board.factory is None:
            self._offered_set = raw
            return []
        try:
            if typ == t.FACTORY_RECORD:
                self._take_record(raw)
            elif typ == t.FACTORY_COMMAND:
                exported = self._obey(raw)
                if exported:
                    return [exported]
            else:
                raise ProtocolError("type_not_allowed")
        except ProtocolError as error:
            return [self._answer(raw, error.reason)]
        return [self._answer(raw, None)]

    def _hello(self, nonce: bytes) -> bytes:
        record, sealer = self._board.factory, self._sealer
        head = self._chain.head
        epoch, sequence, digest = (None, None, None) if head is None else head
        body = {
            fc.HELLO_NONCE: nonce,
            fc.HELLO_PUBLIC_KEY: sealer.cose_key,
            fc.HELLO_MAKER: self._board.maker,
            fc.HELLO_MODEL: self._board.model,
            fc.HELLO_HARDWARE_ID: self._board.hardware_id,
            fc.HELLO_SOFTWARE_ID: self._software_id,
            fc.HELLO_KEY_PROTECTION: sealer.protection,
            fc.HELLO_BOARD_NONCE: self._nonce,
            fc.HELLO_REQUEST: sealer.certificate_request(self._board.maker),
            fc.HELLO_RECORD: None if record is None else record.digest,
            fc.HELLO_SERIAL: None if record is None else record.serial,
            fc.HELLO_EPOCH: epoch,
            fc.HELLO_SEQUENCE: sequence,
            fc.HELLO_HASH: digest,
            fc.HELLO_PROVISIONED_MS: None if record is None else record.made_ms,
        }
        return self._seal_about_us(t.HELLO, body)

    def _answer(self, raw: bytes, reason: "str | None") -> bytes:
        body = {fc.ANSWER_DIGEST: hashlib.sha256(raw).digest(), fc.ANSWER_REASON: reason}
        return self._seal_about_us(t.FACTORY_ANSWER, body)

    def _take_record(self, raw: bytes) -> None:
        """The checks of SPEC §16.2, in their order."""
        if self._board.factory is not None:
            raise ProtocolError("factory_provisioned")
        record = self._open_record(raw)
        certificate = record[fc.RECORD_CERTIFICATE]
        if certificate is not None and not csr.is_certificate_for(certificate, self._sealer.public_key):
            raise ProtocolError("factory_certificate")
        offered = self._offered_set
        if record[fc.RECORD_PARAMETER_SET] is None:
            offered = None
        elif offered is None or hashlib.sha256(offered).digest() != record[fc.RECORD_PARAMETER_SET]:
            raise ProtocolError("factory_parameters")
        else:
            authorities, ours = record[fc.RECORD_AUTHORITY_KEYS], self._sealer.thumbprint
            parameters.open_set(
                offered, authorities, ours, None, lambda name: parameters.kind_of_bus(self._board, name)
            )
        self._change(lambda: factory.write(self._memory, raw, offered))

    def _open_record(self, raw: bytes) -> "dict[int, Any]":
        """Whoever made the record holds a key that the record itself names."""
        named: "list[bytes]" = sealing.unverified(raw, t.FACTORY_RECORD)[fc.RECORD_AUTHORITY_KEYS]
        return sealing.open_sealed(raw, t.FACTORY_RECORD, named, self._about_us).fields

    def _about_us(self, fields: "dict[int, Any]") -> "str | None":
        return None if fields[f.METER] == self._sealer.thumbprint else "not_for_us"

    def _obey(self, raw: bytes) -> bytes:
        """What is to be exported, or nothing."""

        def objection(fields: "dict[int, Any]") -> "str | None":
            return "factory_nonce" if fields[fc.COMMAND_NONCE] != self._nonce else self._about_us(fields)

        record = self._board.factory
        if record is None:
            raise ProtocolError("factory_unprovisioned")
        command = sealing.open_sealed(raw, t.FACTORY_COMMAND, record.authority_keys, objection).fields
        epoch, sequence = command[fc.COMMAND_EPOCH], command[fc.COMMAND_SEQUENCE]
        if command[fc.COMMAND] == fc.EXPORT:
            return self._exported(None if epoch is None or sequence is None else (epoch, sequence))
        if (self._chain.head or (None, None, None)) != (epoch, sequence, command[fc.COMMAND_HASH]):
            raise ProtocolError("factory_head")
        self._change(lambda: factory.remove(self._memory))
        return b""

    def _change(self, write: "Callable[[], None]") -> None:
        try:
            write()
        except OSError:
            raise ProtocolError("factory_flash")
        self.restart_wanted = True

    def _exported(self, place: "tuple[bytes, int] | None") -> bytes:
        exported = bytearray()
        for _, _, raw in self._chain.records(place):
            if exported and len(exported) + len(raw) > EXPORT_BYTES:
                break
            exported.extend(raw)
        return bytes(exported)
