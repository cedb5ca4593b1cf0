"""What a board answers on its provisioning line, and what it takes from nobody."""

import hashlib
import random

from app_bench import AUTHORITY, METER, STRANGER, instrument, parameter_set
from contact_bench import SOFTWARE_ID, Bench, certificate, command, record

from meter_firmware import factory
from meter_protocol import cbor, cose
from meter_protocol import fields as f
from meter_protocol import first_contact as fc
from meter_protocol import types as t

HEAD = (b"epoch..1", 3, b"h" * 32)


class Journal:
    """Four messages of a chain; what they say is not looked at here."""

    head = HEAD

    def records(self, place):
        first = 0 if place is None else place[1]
        for sequence in range(first, 4):
            yield HEAD[0], sequence, parameter_set(sequence + 1) * (3 if sequence == 2 else 1)


def test_a_new_board_says_who_it_is():
    hello = Bench().hello()
    assert hello[fc.HELLO_PUBLIC_KEY] == METER.cose_key
    assert hello[f.METER] == METER.thumbprint
    assert (hello[fc.HELLO_MAKER], hello[fc.HELLO_MODEL], hello[fc.HELLO_HARDWARE_ID]) == (
        "test",
        "bench",
        b"\1\2\3",
    )
    assert hello[fc.HELLO_SOFTWARE_ID] == SOFTWARE_ID
    assert hello[fc.HELLO_KEY_PROTECTION] == f.KEY_SOFTWARE
    assert METER.thumbprint.hex().encode() in hello[fc.HELLO_REQUEST]
    for nothing in (fc.HELLO_RECORD, fc.HELLO_SERIAL, fc.HELLO_EPOCH, fc.HELLO_HASH, fc.HELLO_PROVISIONED_MS):
        assert hello[nothing] is None


def test_the_board_nonce_is_one_for_each_start():
    bench = Bench()
    first = bench.hello()[fc.HELLO_BOARD_NONCE]
    assert bench.hello()[fc.HELLO_BOARD_NONCE] == first
    assert bench.start().hello()[fc.HELLO_BOARD_NONCE] != first


def test_record_and_set_are_taken_together_and_kept():
    bench = Bench().provision()
    taken = bench.board.factory
    assert (taken.serial, taken.authority_keys, taken.certificate) == ("CM-1", [AUTHORITY.cose_key], certificate())
    assert taken.digest == hashlib.sha256(record()).digest()
    assert factory.first_set(bench.memory) == parameter_set(1)
    hello = bench.hello()
    assert hello[fc.HELLO_RECORD] == taken.digest
    assert (hello[fc.HELLO_SERIAL], hello[fc.HELLO_PROVISIONED_MS]) == ("CM-1", 1_800_000_000_000)


def test_a_record_without_set_certificate_and_link():
    bench = Bench()
    bench.ask(parameter_set(1))
    assert bench.reason(record(RECORD_CERTIFICATE=None, RECORD_PARAMETER_SET=None)) is None
    assert factory.first_set(bench.memory) is None


def test_what_a_new_board_refuses_leaves_it_as_it_is():
    other = {"instruments": [instrument(bus="nowhere")]}
    odd = parameter_set(1, **other)
    forged = bytearray(record())
    forged[-1] ^= 1
    for reason, offered, raw in (
        ("factory_parameters", None, record()),
        ("factory_parameters", parameter_set(2), record()),
        ("factory_certificate", parameter_set(1), record(RECORD_CERTIFICATE=certificate(STRANGER))),
        ("factory_certificate", parameter_set(1), record(RECORD_CERTIFICATE=certificate()[:-1])),
        ("factory_certificate", parameter_set(1), record(RECORD_CERTIFICATE=b"\x30\x10" + bytes(16))),
        ("not_for_us", parameter_set(1), record(METER=STRANGER.thumbprint)),
        ("unknown_key", parameter_set(1), record(STRANGER)),
        ("signature_invalid", parameter_set(1), bytes(forged)),
        ("parameters_bus", odd, record(RECORD_PARAMETER_SET=hashlib.sha256(odd).digest())),
        (
            "unknown_key",
            parameter_set(1, STRANGER),
            record(RECORD_PARAMETER_SET=hashlib.sha256(parameter_set(1, STRANGER)).digest()),
        ),
        ("factory_unprovisioned", None, command(bytes(16), fc.DROP)),
    ):
        bench = Bench()
        before = bench.state()
        if offered is not None:
            assert bench.ask(offered) == []
        if reason == "factory_unprovisioned":
            raw = command(bench.hello()[fc.HELLO_BOARD_NONCE], fc.DROP)
        assert bench.reason(raw) == reason
        assert bench.state() == before, reason
        assert not bench.contact.restart_wanted


def test_a_meter_takes_no_second_record():
    bench = Bench().provision()
    before = bench.state()
    assert bench.reason(parameter_set(1)) == "type_not_allowed"
    assert bench.reason(record(RECORD_SERIAL="CM-2")) == "factory_provisioned"
    assert bench.state() == before
    assert not bench.contact.restart_wanted


def test_a_damaged_record_is_asked_for_anew():
    bench = Bench().provision()
    for folder in ("/memory", "/memory/copy"):
        with open(bench.root + folder + "/factory", "wb") as file:
            file.write(b"rot")
    assert not factory.was_never_written(bench.memory)
    assert bench.start().hello()[fc.HELLO_RECORD] is None
    assert bench.provision().hello()[fc.HELLO_SERIAL] == "CM-1"


def test_the_journal_is_exported_verbatim_from_any_place():
    bench = Bench(Journal()).provision()
    hello = bench.hello()
    assert (hello[fc.HELLO_EPOCH], hello[fc.HELLO_SEQUENCE], hello[fc.HELLO_HASH]) == HEAD
    nonce = hello[fc.HELLO_BOARD_NONCE]
    everything = [raw for _, _, raw in Journal().records(None)]
    (all_of_it,) = bench.ask(command(nonce, fc.EXPORT))
    assert all_of_it == b"".join(everything)[: len(all_of_it)]
    (rest,) = bench.ask(command(nonce, fc.EXPORT, (HEAD[0], 3, None)))
    assert rest == everything[3]
    assert bench.reason(command(nonce, fc.EXPORT, (HEAD[0], 4, None))) is None
    assert bench.board.factory is not None


def test_a_meter_is_given_up_only_at_its_head_and_by_its_authority():
    for reason, change in (
        ("factory_nonce", {"nonce": bytes(16)}),
        ("factory_head", {"head": (HEAD[0], 2, HEAD[2])}),
        ("factory_head", {"head": (HEAD[0], 3, bytes(32))}),
        ("factory_head", {"head": (None, None, None)}),
        ("unknown_key", {"sealer": STRANGER}),
        ("unknown_key", {"sealer": METER}),
        ("not_for_us", {"meter": STRANGER.thumbprint}),
        (None, {}),
    ):
        bench = Bench(Journal()).provision()
        how = {"nonce": bench.hello()[fc.HELLO_BOARD_NONCE], "what": fc.DROP, "head": HEAD}
        how.update(change)
        assert bench.reason(command(**how)) == reason
        assert bench.contact.restart_wanted == (reason is None)
        assert (factory.load(bench.memory) is None) == (reason is None)


def test_a_meter_whose_flash_keeps_the_record_does_not_say_that_it_is_gone():
    bench = Bench(Journal()).provision()
    bench.memory.remove = lambda name: None
    drop = command(bench.hello()[fc.HELLO_BOARD_NONCE], fc.DROP, HEAD)
    assert bench.reason(drop) == "factory_flash"
    assert not bench.contact.restart_wanted


def test_a_command_is_worth_nothing_after_a_restart():
    bench = Bench(Journal()).provision()
    drop = command(bench.hello()[fc.HELLO_BOARD_NONCE], fc.DROP, HEAD)
    bench.start()
    assert bench.reason(drop) == "factory_nonce"


def test_what_is_no_question_gets_no_answer():
    for bench in (Bench(), Bench(Journal()).provision()):
        before = bench.state()
        for payload in (
            b"",
            b"meter CM-1 thumbprint",
            b"\xa0",
            cbor.dumps({0: 1, 10: bytes(15)}),
            cbor.dumps({0: 2, 10: bytes(16)}),
            cbor.dumps([1]),
            bytes(9000),
            parameter_set(1)[:-1],
        ):
            assert bench.ask(payload) == [], payload
        assert bench.state() == before


def test_other_messages_are_refused_by_name():
    bench = Bench().provision()
    (hello,) = bench.ask(fc.hello_request(bytes(16)))
    assert bench.reason(hello) == "type_not_allowed"
    assert (
        bench.reason(METER.seal_about_us(t.TIME_REQUEST, {f.NONCE: bytes(16)}, (0, 0, None))) == "type_not_allowed"
    )


def test_random_bytes_and_flipped_bits_never_change_a_board():
    random.seed(16)
    for bench in (Bench(), Bench(Journal()).provision()):
        before = bench.state()
        good = [
            fc.hello_request(bytes(16)),
            record(),
            command(bench.hello()[fc.HELLO_BOARD_NONCE], fc.DROP, HEAD),
            parameter_set(1),
        ]
        for _ in range(150):
            raw = bytearray(random.choice(good))
            if random.getrandbits(1):
                for _ in range(random.randrange(1, 4)):
                    raw[random.randrange(len(raw))] ^= 1 << random.randrange(8)
            else:
                raw = raw[: random.randrange(len(raw))]
            if bytes(raw) in good:
                continue
            for answer in bench.ask(bytes(raw)):
                assert cose.split(answer).typ in (t.HELLO, t.FACTORY_ANSWER)
            assert bench.state() == before
            assert not bench.contact.restart_wanted
