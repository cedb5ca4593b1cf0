"""The key of a witnessed meter, and its place in the registry: what the finding `gateway_witnessed` follows from.

A field meter cannot get there, whatever its messages claim, and a witnessed meter cannot leave it: nothing is read
for a key that is not enrolled so, and nobody else has the key.
"""

import os

from meter_gateway.config import WitnessSection
from meter_gateway.key_files import write_pair
from meter_gateway.model import Fields
from meter_gateway.registry import BY_WITNESS, Meter
from meter_gateway.sealing import KeyFileError, Sealer, load_sealer
from meter_gateway.store import Store
from meter_gateway.witness.software import software_id
from meter_protocol import chain
from meter_protocol import fields as f
from meter_protocol import types as t

MAKER = "carbonmeter"
MODEL = "gateway witness"


def identity(sealer: Sealer, name: str) -> Fields:
    """The fields of an identity message that are the meter's own (SPEC §4.4)."""
    return {
        f.PUBLIC_KEY: sealer.cose_key,
        f.SERIAL: name,
        f.MAKER: MAKER,
        f.MODEL: MODEL,
        f.KEY_PROTECTION: f.KEY_SOFTWARE,
        f.SOFTWARE_ID: software_id(),
        f.CERTIFICATE: None,
    }


def add(store: Store, section: WitnessSection, now_ms: int) -> Meter:
    """Make the key unless its file is there, and enrol it as the gateway's own."""
    if not section.key.exists():
        section.key.parent.mkdir(parents=True, exist_ok=True)
        write_pair(Sealer.generate(t.ROLE_METER), section.key)
    sealer = load_sealer(section.key, t.ROLE_METER)
    return store.registry.enrol(_proof(sealer, section.name), BY_WITNESS, now_ms)


def meter_of(store: Store, section: WitnessSection) -> Meter | None:
    """The meter that the witness's key is enrolled as; None also while there is no key that can be used."""
    try:
        meter = store.registry.meter(load_sealer(section.key, t.ROLE_METER).thumbprint)
    except KeyFileError:
        return None
    return meter if meter is not None and meter.is_witnessed else None


def _proof(sealer: Sealer, name: str) -> bytes:
    """An identity of an epoch that is never gone on with: it shows who holds the key, and nothing else."""
    return sealer.seal(
        t.IDENTITY,
        {
            f.VERSION: f.PROTOCOL_VERSION,
            f.EPOCH: os.urandom(chain.EPOCH_SIZE),
            f.SEQUENCE: 0,
            f.BOOT: 0,
            f.PREVIOUS: chain.GENESIS,
            f.CONTEXT: chain.NO_CONTEXT,
            f.TIME_MS: 0,
            f.CLOCK_STATUS: f.CLOCK_UNKNOWN,
            f.CLOCK_UNCERTAINTY_MS: None,
            **identity(sealer, name),
        },
    )
