"""`carbonmeter verify`: offline, is this authentic, from whom, and what does it say?"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from meter_gateway import enrolment, inspection, report
from meter_gateway.bounded import read_bounded
from meter_gateway.commands.terminal import NEGATIVE, ConfigOption, Terminal, find_config, terminal
from meter_gateway.config import GatewayConfig, load_config
from meter_gateway.history import walk
from meter_gateway.inspection import Contexts, Inspected, InspectedVerdict, KeyChest, Known
from meter_gateway.parameters import load_public_key
from meter_gateway.sealing import load_sealers
from meter_gateway.state_dir import store_path
from meter_gateway.store import Store
from meter_gateway.texts import Told
from meter_gateway.validated_toml import ConfigError
from meter_gateway.values import decimal_text, time_text
from meter_gateway.verify import verify_identity
from meter_protocol import fields as f
from meter_protocol import types as t

MAX_FILE = 1 << 28
"""A journal of 16 MiB is more than a year of a meter."""


def verify(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="a message, a CBOR sequence of messages, or an uplink envelope")],
    key: Annotated[
        list[Path] | None, typer.Option("--key", help="public key to believe (PEM); may be repeated")
    ] = None,
    identity: Annotated[
        list[Path] | None, typer.Option("--identity", help="identity message whose key to believe")
    ] = None,
    thumbprint: Annotated[
        str | None, typer.Option("--thumbprint", help="compared with the meter's label", show_default=False)
    ] = None,
    parameters: Annotated[
        Path | None, typer.Option("--parameters", help="sealed parameter set for the units", show_default=False)
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Check a file offline: is it authentic, from whom, what does it say? Exit code 1 if it is not proven."""
    term = terminal(ctx)
    content = read_bounded(file, MAX_FILE)
    settings = _configuration(config)
    store = _store(settings)
    chest = KeyChest(
        [*_given_keys(key or (), identity or ()), *_enrolled_keys(store), *_configured_keys(settings)]
    )
    given = None if parameters is None else read_bounded(parameters, t.max_size(t.PARAMETER_SET))
    contexts = Contexts(given=given)
    if store is not None:
        _learn_from_store(contexts, store, content, chest)
    vouched = None if thumbprint is None else enrolment.full_thumbprint(thumbprint)
    found = inspection.inspect(content, chest, contexts, vouched)
    _print(term, found)
    if not found.is_good:
        raise typer.Exit(NEGATIVE)


def _configuration(given: Path | None) -> GatewayConfig | None:
    """Verification works without any gateway, or beside one whose keys are not ours; a named one must load."""
    if given is not None:
        return load_config(given)
    try:
        return load_config(find_config(None))
    except (Told, ConfigError):
        return None


def _store(settings: GatewayConfig | None) -> Store | None:
    if settings is None or not store_path(settings).exists():
        return None
    return Store(store_path(settings))


def _given_keys(key_files: Iterable[Path], identities: Iterable[Path]) -> Iterator[Known]:
    for path in key_files:
        yield Known(load_public_key(path), "given_key")
    for path in identities:
        yield Known(
            verify_identity(read_bounded(path, t.max_size(t.IDENTITY)))[0].cose_key, "given_key", t.ROLE_METER
        )


def _enrolled_keys(store: Store | None) -> Iterator[Known]:
    for meter in store.registry.meters() if store else ():
        yield Known(meter.key.cose_key, "enrolled", t.ROLE_METER, meter)


def _configured_keys(settings: GatewayConfig | None) -> Iterator[Known]:
    if settings is None:
        return
    sealers = load_sealers(settings.keys.receipt, settings.keys.verdict, settings.keys.clock)
    for sealer in (sealers.receipt, sealers.verdict, sealers.clock):
        yield Known(sealer.cose_key, "own_gateway", sealer.role)
    for path in settings.parameters.authority_keys:
        yield Known(load_public_key(path), "authority", t.ROLE_PARAMETERS)
    for path in settings.updates.authority_keys:
        yield Known(load_public_key(path), "update_authority", t.ROLE_UPDATES)


def _learn_from_store(contexts: Contexts, store: Store, content: bytes, chest: KeyChest) -> None:
    """What the stored chain announced before the first message of each chain in the file."""
    found = inspection.inspect(content, chest, Contexts())
    firsts: dict[tuple[bytes, bytes], int] = {}
    for message in found.messages:
        if message.verified is not None and message.verified.typ in t.CHAIN_TYPES:
            fields = message.verified.fields
            firsts.setdefault((message.verified.thumbprint, fields[f.EPOCH]), fields[f.SEQUENCE])
    for (thumbprint, epoch), first in firsts.items():
        before = [
            stored
            for stored in walk(store.archive, thumbprint, types=(t.IDENTITY, t.EVENT))
            if stored.epoch == epoch and stored.sequence < first
        ]
        for stored in sorted(before, key=lambda message: message.sequence):
            contexts.learn(stored.verified())


def _print(term: Terminal, found: inspection.Inspection) -> None:
    say = term.say
    count = len(found.messages)
    if not count:
        term.print(say("verify.empty"))
        return
    for number, message in enumerate(found.messages, 1):
        if count > 1:
            term.print(say("verify.message_number", number=number, count=count))
        _print_message(term, message)
    if found.verdict is not None:
        _print_verdict(term, found.verdict)
    if count > 1:
        for sequence in found.interrupted_after:
            term.print(say("verify.chain_gap", sequence=sequence))
        if not found.interrupted_after:
            term.print(say("verify.continuous"))
        bad = sum(not message.is_proven for message in found.messages)
        term.print(say("verify.summary_bad" if bad else "verify.summary_good", bad=bad, count=count))


def _print_message(term: Terminal, message: Inspected) -> None:
    say = term.say
    if message.verified is None or message.known is None:
        reason = f"[{message.reason}] {say.reason(message.reason or '')}"
        term.print(say("layout.line", label=say("verify.not_authentic"), value=reason))
        return
    known = message.known
    outcome = say("verify.authentic" if message.is_proven else "verify.self_signed")
    term.print(say("layout.line", label=outcome, value=_voucher(term, known)))
    if known.meter is not None and known.meter.key.revoked_ms is not None:
        revoked = time_text(known.meter.key.revoked_ms)
        term.print(say("verify.revoked", time=revoked, reason=known.meter.revocation_reason))
    lines = [(say("label.thumbprint"), message.verified.thumbprint.hex())]
    lines += report.describe(message.verified.typ, message.verified.fields, message.parameters, say)
    for label, value in lines:
        term.print("  " + say("layout.line", label=label, value=value))
    if message.parameters is not None:
        context = {True: "confirmed", False: "differs", None: "unconfirmed"}[message.is_context_confirmed]
        term.print(say(f"verify.context_{context}"))


def _voucher(term: Terminal, known: Known) -> str:
    meter = known.meter
    if meter is None:
        return term.say(f"verify.by_{known.voucher}")
    return term.say("verify.by_enrolled", serial=meter.serial, maker=meter.maker, model=meter.model)


def _print_verdict(term: Terminal, verdict: InspectedVerdict) -> None:
    say = term.say
    if verdict.fault is None:
        term.print(say("verify.verdict_proven"))
    else:
        fault = say(verdict.fault) if say.knows(verdict.fault) else say.reason(verdict.fault)
        term.print(say("verify.verdict_unproven", reason=fault))
    fields = verdict.fields
    if fields is None:
        return
    accepted = "accepted" if fields[f.VERDICT_ACCEPTANCE] == f.ACCEPTED else "not_accepted"
    text = say(
        "verdict.revision",
        verdict=say(f"verdict.{accepted}"),
        scheme=fields[f.VERDICT_SCHEME],
        revision=fields[f.VERDICT_REVISION],
        time=time_text(fields[f.TIME_MS]),
    )
    term.print("  " + say("layout.line", label=say("label.verdict"), value=text))
    for code, channel in fields[f.VERDICT_FINDINGS]:
        meaning = say.finding(code)
        if channel is not None:
            meaning = say("layout.line", label=f"{say('label.channel')} {channel}", value=meaning)
        term.print(f"  [{code}] {meaning}")
    for entry in fields[f.VERDICT_UNCERTAINTY]:
        parts = [decimal_text(part, -report.THOUSANDTHS) for part in entry[1:]]
        told = {
            "channel": entry[0],
            "u": decimal_text(report.combined(entry[1:]), -report.THOUSANDTHS),
            "parts": " ".join(parts),
        }
        term.print("  " + say("verdict.uncertainty", **told))
    if fields[f.VERDICT_BUDGET] is not None:
        budget = fields[f.VERDICT_BUDGET].hex()
        term.print("  " + say("layout.line", label=say("verdict.budget"), value=budget))
