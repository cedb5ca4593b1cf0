"""The folder of finished comparisons: events are sealed into it, once, and never changed."""

from pathlib import Path

from meter_gateway.certificate_folder import replace_file
from meter_gateway.config import GatewayConfig
from meter_gateway.model import Fields
from meter_gateway.sealing import load_sealer
from meter_gateway.texts import Told
from meter_gateway.traceability.comparison import SUFFIX, Comparison, find, open_event, raw_path
from meter_gateway.traceability.trust import comparison_keys, load_events
from meter_protocol import cbor, cose
from meter_protocol import comparison as cm
from meter_protocol import types as t


def folder_of(config: GatewayConfig) -> Path:
    if config.comparisons.folder is None:
        raise Told("compare.no_folder", path=config.path)
    return config.comparisons.folder


def seal(config: GatewayConfig, fields: Fields, raw: bytes) -> Path:
    """Under the gateway's verdict key; the raw data are there before the event that names them."""
    folder = folder_of(config)
    # With many points and conditions the raw data may not fit beside them.
    if len(cbor.dumps(fields)) > t.max_size(t.COMPARISON) - cose.OVERHEAD:
        fields = {**fields, cm.RAW: None}
    sealed = load_sealer(config.keys.verdict, t.ROLE_VERDICT).seal(t.COMPARISON, fields)
    open_event(sealed, comparison_keys(config))
    path = folder / f"{fields[cm.RUN].hex()}{SUFFIX}"
    if path.exists():
        raise Told("compare.there_already", path=path)
    if fields[cm.RAW] is None:
        replace_file(raw_path(folder, fields[cm.RAW_DIGEST]), raw)
    replace_file(path, sealed)
    return path


def event_named(config: GatewayConfig, name: str) -> Comparison:
    """The one finished run whose name begins so; Told otherwise."""
    found = find(load_events(config), name)
    if not found:
        raise Told("compare.unknown_run", run=name)
    if len(found) > 1:
        raise Told("compare.several_runs", known=", ".join(each.run for each in found))
    return found[0]
