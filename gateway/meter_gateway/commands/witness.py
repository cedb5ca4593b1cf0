"""`carbonmeter witness`: the gateway's own meters, for instruments that cannot sign."""

import time
from typing import Annotated

import typer

from meter_gateway import state_dir, status
from meter_gateway.commands.terminal import ConfigOption, Terminal, configured, existing_store, terminal
from meter_gateway.config import WitnessSection
from meter_gateway.store import Store
from meter_gateway.texts import Told
from meter_gateway.witness import enrolment

app = typer.Typer(no_args_is_help=True, help="Instruments that cannot sign: this gateway reads and seals them.")


@app.command()
def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="as a [[witness]] of gateway.toml has it")],
    config: ConfigOption = None,
) -> None:
    """Make the key of a witnessed meter, if its file is not there, and enrol it as the gateway's own."""
    term, settings = terminal(ctx), configured(config)
    store = existing_store(settings)
    section = next((section for section in settings.witness if section.name == name), None)
    if section is None:
        known = ", ".join(section.name for section in settings.witness) or "-"
        raise Told("witness.unknown", name=name, known=known)
    meter = enrolment.add(store, section, time.time_ns() // 1_000_000)
    term.print(term.say("witness.did_add", name=name, thumbprint=meter.key.thumbprint.hex(), path=section.key))


@app.command("list")
def list_witnesses(ctx: typer.Context, config: ConfigOption = None) -> None:
    """Show the witnessed meters of gateway.toml: key, state, how far their chains are."""
    term, settings = terminal(ctx), configured(config)
    store = existing_store(settings)
    if not settings.witness:
        term.print(term.say("witness.none"))
    last = status.read(state_dir.status_path(settings)) or {}
    for section in settings.witness:
        said, error = (last.get(key, {}).get(section.name) for key in ("witnesses", "witness_faults"))
        _print(term, store, section, said, error)


def _print(term: Terminal, store: Store, section: WitnessSection, said: str | None, error: str | None) -> None:
    term.heading(section.name)
    meter = enrolment.meter_of(store, section)
    if meter is None:
        term.line("state", term.say("witness.state_not_enrolled"))
        return
    term.line("thumbprint", meter.key.thumbprint.hex())
    for chain in store.archive.chains(meter.key.thumbprint)[-1:]:
        if chain.head_sequence is not None:
            term.line("sequence", str(chain.head_sequence))
    state = "revoked" if meter.key.revoked_ms is not None else said or "unknown"
    term.line("state", term.say(f"witness.state_{state}", error=error or "-"))
