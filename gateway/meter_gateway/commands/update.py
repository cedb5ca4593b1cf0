"""`carbonmeter update`: software for meters, from files over the authority's signature to what became of it."""

import hashlib
import time
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from meter_gateway import image as images
from meter_gateway import offers
from meter_gateway.bounded import read_bounded
from meter_gateway.commands.parameters import load_authority
from meter_gateway.commands.readings import find_meter
from meter_gateway.commands.terminal import ConfigOption, Terminal, configured, existing_store, terminal
from meter_gateway.model import Fields
from meter_gateway.offers import Offer, Offers
from meter_gateway.registry import Meter
from meter_gateway.store import Store
from meter_gateway.texts import Told
from meter_gateway.traceability import load_trust
from meter_gateway.update_server import chunks_asked
from meter_gateway.values import time_text
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.schema import CHUNK_DIGEST_SIZE, MAX_TEXT

app = typer.Typer(
    no_args_is_help=True, help="Software updates: images, manifests, offers and what became of them."
)

MeterNames = Annotated[list[str], typer.Argument(help="serial numbers or thumbprints", metavar="METER...")]


@app.command("image")
def make_image(
    ctx: typer.Context,
    folders: Annotated[list[Path], typer.Argument(help="folders of .mpy and .py files", metavar="FOLDER...")],
    out: Annotated[Path, typer.Option("--out", help="file for the image")],
) -> None:
    """Put the files of folders into one image, and print its digest."""
    write_image(terminal(ctx), out, images.build(images.read_folders(folders)))


def write_image(term: Terminal, out: Path, image: bytes) -> None:
    out.write_bytes(image)
    told = {"files": len(images.parse(image)), "size": len(image), "digest": hashlib.sha256(image).hexdigest()}
    term.print(term.say("update.did_build", path=out, **told))


@app.command()
def sign(
    ctx: typer.Context,
    image: Annotated[Path, typer.Option("--image", help="the image")],
    sequence: Annotated[int, typer.Option("--sequence", min=1, max=0xFFFFFFFF, help="higher than any before")],
    version: Annotated[str, typer.Option("--version", help="what people call it")],
    vendor: Annotated[str, typer.Option("--vendor", help="the maker's domain, such as example.com")],
    model: Annotated[str, typer.Option("--model", help="the boards' model, as in their identity")],
    key: Annotated[Path, typer.Option("--key", help="the update authority's private key (PEM)")],
    out: Annotated[Path, typer.Option("--out", help="file for the manifest")],
    downgrade_from: Annotated[
        int | None,
        typer.Option(
            "--downgrade-from",
            min=1,
            max=0xFFFFFFFF,
            help="let meters that run this number or a lower one take it too",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Sign an image's manifest with the update authority's key. Keep that key away from gateways."""
    term, content = terminal(ctx), read_bounded(image, images.MAX_IMAGE)
    images.parse(content)
    if not 0 < len(version.encode()) <= MAX_TEXT:
        raise Told("update.bad_version", version=version)
    now_ms = time.time_ns() // 1_000_000
    domain = images.vendor_id(vendor)
    fields = images.manifest_fields(content, sequence, version, domain, model, downgrade_from, now_ms)
    raw = load_authority(term, key, t.ROLE_UPDATES).seal(t.UPDATE_MANIFEST, fields)
    out.write_bytes(raw)
    told = {"version": version, "sequence": sequence, "digest": fields[f.IMAGE_DIGEST].hex()}
    term.print(term.say("update.did_sign", path=out, size=len(raw), **told))


@app.command()
def offer(
    ctx: typer.Context,
    meters: MeterNames,
    manifest: Annotated[Path, typer.Option("--manifest", help="the signed manifest")],
    image: Annotated[Path, typer.Option("--image", help="its image")],
    config: ConfigOption = None,
) -> None:
    """Have the running gateway offer an update to meters, in place of what was offered to them before."""
    term, settings = terminal(ctx), configured(config)
    store = existing_store(settings)
    raw = read_bounded(manifest, t.max_size(t.UPDATE_MANIFEST))
    content = read_bounded(image, images.MAX_IMAGE)
    fields = offers.check(raw, content, load_trust(settings).update_authorities)
    found = _named(store, meters)
    stored = Offers(store.database)
    for meter in found:
        _check_fit(meter, fields, stored.running(meter))
    stored.put(found, raw, content, time.time_ns() // 1_000_000)
    for meter in found:
        term.print(term.say("update.did_offer", serial=meter.serial, version=_version(term, fields)))


@app.command("status")
def show_status(ctx: typer.Context, config: ConfigOption = None) -> None:
    """Show for each meter what was offered to it last, how far it is, and what it said about it."""
    term = terminal(ctx)
    store = existing_store(configured(config))
    found = Offers(store.database).all()
    if not found:
        term.print(term.say("update.none"))
    serials = {meter.id: meter.serial for meter in store.registry.meters()}
    for entry in found:
        fields = entry.fields()
        term.print(serials[entry.meter])
        term.line("software", _version(term, fields))
        term.line("image", fields[f.IMAGE_DIGEST].hex())
        term.line("offered", time_text(entry.offered_ms))
        count = len(fields[f.CHUNK_DIGESTS]) // CHUNK_DIGEST_SIZE
        term.line("chunks", term.say("update.asked", asked=chunks_asked(entry.asked), count=count))
        term.line("state", _state(term, entry))


@app.command()
def withdraw(ctx: typer.Context, meters: MeterNames, config: ConfigOption = None) -> None:
    """Offer meters nothing any more; what one of them runs already, it goes on running."""
    term, store = terminal(ctx), existing_store(configured(config))
    found = _named(store, meters)
    Offers(store.database).withdraw(found)
    for meter in found:
        term.print(term.say("update.did_withdraw", serial=meter.serial))


def _named(store: Store, names: list[str]) -> list[Meter]:
    """Each meter once."""
    known = store.registry.meters()
    return list({meter.id: meter for meter in (find_meter(known, name) for name in names)}.values())


def _check_fit(meter: Meter, manifest: Fields, running: bytes | None) -> None:
    """What the meter would refuse and this side can know."""
    if meter.key.revoked_ms is not None:
        raise Told("update.revoked", serial=meter.serial)
    vendor = UUID(bytes=manifest[f.VENDOR_IDENTIFIER])
    if images.class_id(vendor, meter.model).bytes != manifest[f.CLASS_IDENTIFIER]:
        raise Told("update.other_model", serial=meter.serial, model=meter.model)
    if running == manifest[f.IMAGE_DIGEST]:
        raise Told("update.runs_already", serial=meter.serial)


def _version(term: Terminal, manifest: Fields) -> str:
    sequence = manifest[f.MANIFEST_SEQUENCE]
    return term.say("update.version", version=manifest[f.SOFTWARE_VERSION], sequence=sequence)


def _state(term: Terminal, entry: Offer) -> str:
    state = term.say(f"update.state_{entry.state}")
    if entry.reason is None:
        return state
    return term.say("layout.line", label=state, value=term.say.coded_reason(entry.reason))
