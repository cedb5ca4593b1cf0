"""One meter's chain as it arrives: authentic, gapless, each message bound to the one before (SPEC §4)."""

from hil_tests.keywords.verification import Message, Refused, open_identity, open_message
from meter_protocol import chain, cose, events, keys
from meter_protocol import fields as f
from meter_protocol import types as t


class MeterChain:
    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.repeated = 0
        self.cose_key = b""
        self._identity_hash = b""
        self._parameters_hash: bytes | None = None
        self._software_id = b""

    @property
    def thumbprint(self) -> bytes:
        return keys.thumbprint(self.cose_key)

    def take(self, raw: bytes) -> Message:
        """Append what is new. Identical bytes again count as repeated; whatever else does not fit is Refused.

        A message that runs ahead of a gap is left alone: no receipt comes for it, so the meter repeats it.
        """
        if not self.messages:
            message, self.cose_key = open_identity(raw)
            self._identity_hash = message.hash
            self._software_id = message.fields[f.SOFTWARE_ID]
            self.messages.append(message)
            return message
        message = open_message(raw, self.cose_key)
        if message.typ not in t.CHAIN_TYPES:
            raise Refused("unknown_type")
        if message.fields[f.EPOCH] != self.messages[0].fields[f.EPOCH]:
            raise Refused("another_epoch")
        if message.sequence < len(self.messages):
            if message.hash != self.messages[message.sequence].hash:
                raise Refused("chain_fork")
            self.repeated += 1
        elif message.sequence == len(self.messages):
            self._bind(message)
            self.messages.append(message)
        return message

    def _bind(self, message: Message) -> None:
        if message.fields[f.PREVIOUS] != self.messages[-1].hash:
            raise Refused("chain_broken")
        context = chain.context_digest(self._identity_hash, self._parameters_hash, self._software_id)
        if message.fields[f.CONTEXT] != context:
            raise Refused("context_mismatch")
        boots = message.fields[f.BOOT] - self.messages[-1].fields[f.BOOT]
        if boots != (1 if message.name == "boot" else 0):
            raise Refused("boot_count")
        if message.name == "parameters_applied":
            parameters = cose.split(message.fields[f.DETAILS][events.PARAMETER_SET])
            self._parameters_hash = chain.message_hash(parameters.protected, parameters.payload)
        elif message.name == "boot":
            self._software_id = message.fields[f.DETAILS][events.SOFTWARE_ID]
