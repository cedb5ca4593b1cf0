"""What an auditor asks of a meter's chain (SPEC §4): schema, links, sequence, boots, contexts."""

from meter_protocol import chain, cose, events, messages
from meter_protocol import fields as f
from meter_protocol import types as t


class ChainCheck:
    """`take` decodes the next message of an epoch, or the first of the next one, and holds it against the last."""

    def __init__(self, state=None):
        # epoch, previous hash, identity hash, parameter set hash, software, sequence, boot
        self._state = state

    def copy(self):
        return ChainCheck(self._state)

    def take(self, raw):
        sign1 = cose.split(raw)
        fields = messages.decode(sign1.typ, sign1.payload)
        digest = chain.message_hash(sign1.protected, sign1.payload)
        is_first = self._state is None
        epoch, previous, identity, parameters, software, sequence, boot = self._state or (None,) * 7
        if sign1.typ == t.IDENTITY:
            identity, parameters, software = digest, None, fields[f.SOFTWARE_ID]
        elif not is_first:
            assert fields[f.EPOCH] == epoch
            assert fields[f.SEQUENCE] == sequence + 1
            assert fields[f.PREVIOUS] == previous
            assert fields[f.BOOT] >= boot
            if identity is not None:
                assert fields[f.CONTEXT] == chain.context_digest(identity, parameters, software)
        if sign1.typ == t.EVENT and fields[f.EVENT_CODE] == events.PARAMETERS_APPLIED:
            applied = cose.split(fields[f.DETAILS][events.PARAMETER_SET])
            parameters = chain.message_hash(applied.protected, applied.payload)
        if sign1.typ == t.EVENT and fields[f.EVENT_CODE] == events.BOOT:
            software = fields[f.DETAILS][events.SOFTWARE_ID]
        self._state = (
            fields[f.EPOCH],
            digest,
            identity,
            parameters,
            software,
            fields[f.SEQUENCE],
            fields[f.BOOT],
        )
        return sign1.typ, fields


def check_chain(raws):
    """Yields the decoded messages of a chain that may begin anywhere."""
    check = ChainCheck()
    for raw in raws:
        yield check.take(raw)
