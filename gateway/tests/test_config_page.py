"""docs/configuration.md against the code: keys, defaults, and examples that work."""

import re
import typing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from meter_gateway import config, policy
from meter_gateway.config import GatewayConfig, load_config
from meter_gateway.policy import load_scheme
from meter_gateway.traceability import (
    binding,
    certificate_file,
    check_plan,
    dcc_file,
    load_trust,
    plausibility_file,
    thresholds,
)

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")

Models = tuple[type[BaseModel], ...]

SECTIONS: dict[str, Models] = {
    "[gateway]": (config.GatewaySection,),
    "[keys]": (config.KeysSection,),
    "[clock]": (config.ClockSection,),
    'type = "mqtt"': (config.MqttListener,),
    'type = "serial"': (config.SerialListener,),
    "[[bus]]": (config.BusSection,),
    "[[witness]]": (config.WitnessSection,),
    "[uplink.mqtt]": (config.UplinkMqtt,),
    "[limits]": (config.LimitsSection,),
    "[parameters]": (config.ParametersSection,),
    "[updates]": (config.UpdatesSection,),
    "[[software]]": (config.SoftwareSection,),
    "[makers]": (config.MakersSection,),
    "[certificates]": (config.CertificatesSection,),
    "[comparisons]": (config.ComparisonsSection,),
    "[reports]": (config.ReportsSection,),
    "[traceability]": (config.TraceabilitySection,),
    "Certificate files": (certificate_file._CertificateFile,),
    "laboratory": (certificate_file._Laboratory,),
    "result": (
        certificate_file._CalibrationResult,
        certificate_file._VerificationResult,
        certificate_file._ReferenceGasResult,
    ),
    "instrument": (certificate_file._Instrument,),
    "axis": (certificate_file._Axis,),
    "point": (certificate_file._Point,),
    "condition": (certificate_file._Condition,),
    "equipment": (certificate_file._Equipment,),
    "end": (certificate_file.EndEntry,),
    "Digital certificate files": (dcc_file.DccFile,),
    "table": (dcc_file.AssignedTable,),
    "Binding files": (binding._Binding,),
    "contribution": (binding._Contribution,),
    "target": (binding._Target,),
    "error_limits": (binding._ErrorLimits,),
    "rated": (binding._Rated,),
    "Check files": (check_plan.Plan,),
    "drift": (check_plan.Drift,),
    "zero_span": (check_plan.ZeroSpan,),
    "limit": (plausibility_file.ChannelLimits,),
    "balance": (plausibility_file.Balance,),
    "plant_balance": (plausibility_file.PlantBalance,),
    "Each of total and parts": (plausibility_file.MeterTerm,),
    "Scheme files": (policy._SchemeFile,),
    "data_validity": (thresholds.DataValidity,),
    "uncertainty_target": (thresholds.UncertaintyTarget,),
    "quality": (thresholds.QualityTargets,),
}

WITHOUT_TABLE: Models = (
    GatewayConfig,
    config.UplinkSection,
    binding._BindingFile,
    check_plan._PlanFile,
    plausibility_file._PlausibilityFile,
)
"""Models whose keys are the headings of the page."""

SAID_OTHERWISE = {
    ("scheme", '`"house"`'),
    ("source", '`"system"`'),
    ("parity", '`"none"`'),
    ("utc_offset", '`"+00:00"`'),
    ("ca_file", "the system's"),
    ("minimum", "the lowest point"),
    ("maximum", "the highest point"),
    ("serial", "all"),
}
"""Defaults that the page names by what they mean."""


def documented() -> dict[str, dict[str, str]]:
    """Keys and defaults in the tables of the page, by heading."""
    found: dict[str, dict[str, str]] = {}
    for block in re.split(r"^#{2,3} ", PAGE, flags=re.MULTILINE)[1:]:
        heading = block.splitlines()[0].replace("`", "")
        rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", block, re.MULTILINE)
        for key, default, english, chinese in rows:
            assert re.search("[a-z]", english)
            assert re.search("[一-鿿]", chinese)
            assert key not in found.setdefault(heading, {})
            found[heading][key] = default
    return found


def fields(models: Models) -> dict[str, FieldInfo]:
    return {info.alias or name: info for model in models for name, info in model.model_fields.items()}


def test_every_key_is_documented_and_every_documented_key_exists() -> None:
    expected = {heading: set(fields(models)) for heading, models in SECTIONS.items()}
    assert {heading: set(rows) for heading, rows in documented().items()} == expected


def models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}.union(*(models_in(info.annotation) for info in annotation.model_fields.values()))
    return set[type[BaseModel]]().union(*map(models_in, typing.get_args(annotation)))


def test_no_table_is_left_out() -> None:
    files = (
        GatewayConfig,
        certificate_file._CertificateFile,
        dcc_file.DccFile,
        binding._BindingFile,
        check_plan._PlanFile,
        plausibility_file._PlausibilityFile,
        policy._SchemeFile,
    )
    reached = set[type[BaseModel]]().union(*map(models_in, files))
    assert reached == {model for models in SECTIONS.values() for model in models}.union(WITHOUT_TABLE)


@pytest.mark.parametrize("heading", SECTIONS)
def test_documented_defaults_are_the_code_s(heading: str) -> None:
    rows = documented()[heading]
    for key, info in fields(SECTIONS[heading]).items():
        assert rows[key] == written(info) or (key, rows[key]) in SAID_OTHERWISE, key


def written(info: FieldInfo) -> str:
    """How the page writes a default."""
    if info.is_required():
        return "–"
    if info.default is None:
        return "none"
    if isinstance(info.default, bool):
        return f"`{str(info.default).lower()}`"
    return "`[]`" if info.default == () else f"`{info.default}`"


def examples(kind: str) -> list[str]:
    found = re.findall(rf"^```toml {kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found


def test_the_page_s_examples_work_together(tmp_path: Path) -> None:
    for folder in ("keys", "certificates"):
        (tmp_path / folder).mkdir()
    for name in ("receipt.pem", "verdict.pem", "clock.pem", "uplink.password"):
        (tmp_path / "keys" / name).touch(mode=0o600)
    (tmp_path / "keys" / "authority.pub.pem").write_text(AUTHORITY)
    for index, text in enumerate(examples("certificate")):
        (tmp_path / "certificates" / f"{index}.toml").write_text(text, encoding="utf-8")
    (tmp_path / "bindings.toml").write_text(examples("binding")[0].replace("<thumbprint>", "ab" * 32))
    (tmp_path / "gateway.toml").write_text(examples("gateway")[0], encoding="utf-8")
    trust = load_trust(load_config(tmp_path / "gateway.toml"))
    assert [entry.channel for entry in trust.bindings] == [1]
    (tmp_path / "checks.toml").write_text(examples("checks")[0].replace("<thumbprint>", "ab" * 32))
    assert [plan.method for plan in check_plan.load_plans([tmp_path / "checks.toml"]).plans] == ["en", "rata"]
    text = examples("plausibility")[0].replace("<thumbprint>", "ab" * 32).replace("<other thumbprint>", "cd" * 32)
    (tmp_path / "plausibility.toml").write_text(text)
    limits = plausibility_file.load_plausibility(tmp_path / "gateway.toml", [tmp_path / "plausibility.toml"])
    assert (len(limits.limits), len(limits.balances), len(limits.plant_balances)) == (1, 1, 1)
    (tmp_path / "scheme.toml").write_text(examples("scheme")[0], encoding="utf-8")
    scheme = load_scheme(tmp_path / "scheme.toml")
    assert scheme.name == "plant-7"
    targets = {each.name: percent for each, percent in scheme.thresholds.uncertainty_targets().items()}
    assert targets == {"volume": 5, "mass": 5}


AUTHORITY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
"""
"""The first test key of RFC 8032 §7.1."""
