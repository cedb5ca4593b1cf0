"""What signed updates have installed, by the word of the meters that is stored: firmware_updated events of all
their chains, whatever else was found of these (traceability/software.py says what follows).

It depends on which messages are stored and on whose signature counts, on nothing else: not on the order in which
they came, nor on what waits for a gap. So everybody who asks the same store finds the same.
"""

from collections import defaultdict
from collections.abc import Mapping

from meter_gateway import decode
from meter_gateway.config import GatewayConfig
from meter_gateway.database import Database
from meter_gateway.traceability import Trust, software
from meter_gateway.traceability.authority import AuthorityKeys
from meter_gateway.traceability.software import Approvals
from meter_gateway.traceability.trust import load_update_authorities
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t

_PAGE = 256


class SignedUpdates:
    """Reads at each `look` what has come since the last one."""

    def __init__(self, database: Database, authorities: AuthorityKeys) -> None:
        self._database = database
        self._authorities = authorities
        self._seen = 0
        self._installed: dict[bytes, frozenset[bytes]] = defaultdict(frozenset)

    def is_for(self, trust: Trust) -> bool:
        """Whether the same signatures count for this Trust."""
        return self._authorities.keys() == trust.update_authorities.keys()

    def look(self) -> Mapping[bytes, frozenset[bytes]]:
        """Software ids by thumbprint, as of now: another object than before."""
        while rows := self._database.query(_EVENTS, (self._seen, t.UPDATE_MANIFEST.encode(), _PAGE)):
            for _, thumbprint, raw in rows:
                fields = decode.decode(t.EVENT, decode.split(raw).payload)
                details = fields[f.DETAILS]
                if fields[f.EVENT_CODE] == ev.FIRMWARE_UPDATED and software.is_authorised(
                    details[ev.MANIFEST], self._authorities
                ):
                    self._installed[thumbprint] |= {details[ev.SOFTWARE_ID]}
            self._seen = rows[-1][0]
        return dict(self._installed)


def approvals(config: GatewayConfig, database: Database) -> Approvals:
    """Whose word stands behind which software, for a command that shows it."""
    installed = SignedUpdates(database, load_update_authorities(config)).look()
    return Approvals(config.listed_software, installed)


_EVENTS = (
    "SELECT message.id, meter.thumbprint, message.raw FROM message"
    " JOIN chain ON chain.id = message.chain JOIN meter ON meter.id = chain.meter"
    " WHERE message.type = 1 AND message.id > ? AND instr(message.raw, ?) ORDER BY message.id LIMIT ?"
)
"""Events that hold a manifest: its header names its type, so few others have to be decoded. 1 is an event's place
in CHAIN_TYPES, written out because only then the index of events is used (schema/v5.sql)."""
