"""What newer software sealed, or put into force, does not keep the software before from running again."""

from app_bench import AUTHORITY, METER, METER_KEY, commissioned, parameter_set
from chain_check import check_chain
from meter_bench import MINUTE
from update_bench import SITE

from meter_firmware.signers.software import SoftwareSigner
from meter_protocol import cbor, chain, cose, events
from meter_protocol import fields as f
from meter_protocol import types as t

SIGNER = SoftwareSigner(METER_KEY)


def seal_newer(bench, typ):
    """As a later version of the protocol might: no table that this software has is its table."""
    payload = cbor.dumps({f.VERSION: 2, 200: bench.log.epoch, 201: "something new"})
    protected = cose.protected_header(cose.ES256, METER.kid, typ)
    digest = chain.message_hash(protected, payload)
    bench.log.sequence += 1
    bench.journal.append(
        bench.log.epoch, bench.log.sequence, cose.assemble(protected, payload, SIGNER.sign(digest))
    )


def newer_set(sealer):
    payload = cbor.dumps({f.VERSION: 2, 200: "something new"})
    protected = cose.protected_header(cose.ES256, sealer.kid, t.PARAMETER_SET)
    return cose.assemble(protected, payload, bytes(63) + b"\x01")


def test_a_chain_that_newer_software_went_on_with_is_left_for_a_new_epoch():
    for types in ((t.READINGS,), (t.EVENT,), (t.EVENT, t.READINGS, t.EVENT), ("application/newer",)):
        bench = commissioned()
        bench.board.update_site = SITE
        bench.boot()
        epoch, total = bench.log.epoch, bench.readings()[-1][f.READINGS][1][1]
        for typ in types:
            seal_newer(bench, typ)
        lost = bench.log.sequence
        bench.boot()
        assert bench.log.epoch != epoch
        bench.run(bench.board.clock.now + 3 * MINUTE, lambda bench=bench: bench.say(bench.time_reply()))
        found = [raw for place, _, raw in bench.journal.records() if place == bench.log.epoch]
        opened = list(check_chain(found))
        said = [fields[f.DETAILS] for typ, fields in opened if typ == t.EVENT]
        assert (said[0][events.LAST_EPOCH], said[0][events.LAST_SEQUENCE]) == (epoch, lost)
        readings = [fields[f.READINGS][1] for typ, fields in opened if typ == t.READINGS]
        # The register goes on from the newest total that this software understands.
        assert readings[-1][1] > total
        bench.boot()
        assert bench.log.epoch != epoch


def test_a_set_that_newer_software_replaced_is_not_asked_for_its_registers():
    bench = commissioned()
    bench.app._memory.write("parameters.previous", newer_set(AUTHORITY))
    bench.boot()
    assert bench.app._meter.newest_version == 1


def test_a_set_that_newer_software_applied_waits_for_another():
    bench = commissioned()
    bench.app._memory.write("parameters", newer_set(AUTHORITY))
    bench.boot()
    assert bench.app._meter.newest_version is None
    assert bench.events(events.PARAMETERS_REFUSED)[-1][events.REASON] == "unknown_version"
    bench.run(bench.board.clock.now + MINUTE, lambda: bench.say(parameter_set(2)))
    assert bench.app._meter.newest_version == 2
