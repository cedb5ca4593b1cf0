"""What the operator trusts: certificates, bindings, authorities and limits, until it is reloaded.

A Trust never changes; a reload makes another one, and everything prepared from the old goes with it.
"""

import copy
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from meter_gateway.config import GatewayConfig, TraceabilitySection
from meter_gateway.key_files import public_path
from meter_gateway.maker import Makers, load_makers
from meter_gateway.metrology.conformity import SIMPLE_ACCEPTANCE, DecisionRule
from meter_gateway.sealing import load_sealer
from meter_gateway.traceability import balance, data_validity, parameters, plausibility
from meter_gateway.traceability.authority import AuthorityKeys, load_authority_key
from meter_gateway.traceability.binding import Binding, load_bindings
from meter_gateway.traceability.calibration import END_MS, Bound, Register
from meter_gateway.traceability.certificate import Certificate
from meter_gateway.traceability.certificate_file import load_certificate
from meter_gateway.traceability.check_plan import Plans, load_plans
from meter_gateway.traceability.clock import Clocks
from meter_gateway.traceability.comparison import Comparison, Repeatability, in_order, load_comparisons
from meter_gateway.traceability.comparison_facts import Period, believed, doubts_of, periods
from meter_gateway.traceability.dcc_file import is_dcc_file, load_anchors, load_dcc
from meter_gateway.traceability.hierarchy import NO_INSTITUTES, Hierarchy, Rules
from meter_gateway.traceability.mpe import load_tables
from meter_gateway.traceability.plan import MeterPlan
from meter_gateway.traceability.plant_balance import Violations
from meter_gateway.traceability.plausibility_file import Plausibility, load_plausibility
from meter_gateway.traceability.software import Approvals
from meter_gateway.traceability.terms import Target
from meter_gateway.traceability.thresholds import Thresholds, load_thresholds
from meter_gateway.validated_toml import ConfigError
from meter_protocol import types as t
from meter_protocol.quantities import Quantity

_MAX_PLANS = 4096

NO_PLANS = Plans()
NO_APPROVALS = Approvals()


class Trust:
    def __init__(
        self,
        certificates: Iterable[Certificate],
        bindings: Iterable[Binding],
        authorities: AuthorityKeys,
        clocks: Clocks,
        clock_trusted: bool,
        utc_offset_minutes: int = 0,
        update_authorities: AuthorityKeys | None = None,
        max_jitter_ms: int | None = None,
        makers: Makers | None = None,
        rule: DecisionRule = SIMPLE_ACCEPTANCE,
        comparisons: Iterable[Comparison] = (),
        plans: Plans = NO_PLANS,
        plausible: Plausibility | None = None,
        thresholds: Thresholds | None = None,
        standards: Rules = NO_INSTITUTES,
        software: Approvals = NO_APPROVALS,
    ) -> None:
        self.register = Register(certificates, utc_offset_minutes)
        self.hierarchy = Hierarchy(self.register, standards)
        self.utc_offset_minutes = utc_offset_minutes
        self.bindings = tuple(bindings)
        self.authorities = authorities
        self.clocks = clocks
        self.clock_trusted = clock_trusted
        self.update_authorities = update_authorities or {}
        self.software = software
        self.max_jitter_ms = max_jitter_ms
        self.makers = makers or Makers()
        self.rule = rule
        self.comparisons = in_order(comparisons)
        self.believed = [believed(each, self.register) for each in self.comparisons]
        """The same, as they count by what is known of their references today."""

        checks = {each.run: doubts_of(each, self.register) for each in self.comparisons if each.is_check}
        self._doubts = {run: codes for run, codes in checks.items() if codes}
        self.plans = plans
        self.plausible = plausible or Plausibility()
        self.violations = Violations()
        """Of balances between meters: found in what is stored, and not by whoever loads the files."""

        self.thresholds = thresholds or Thresholds()
        self._targets = self.thresholds.uncertainty_targets()
        self._by_meter: dict[bytes, list[Binding]] = defaultdict(list)
        for binding in self.bindings:
            self._by_meter[binding.thumbprint].append(binding)
        self._plans: dict[tuple[bytes, bytes], MeterPlan] = {}

    def with_installed(self, installed: Mapping[bytes, frozenset[bytes]]) -> "Trust":
        """The same, but for the software that signed updates installed (software.Approvals)."""
        other = copy.copy(self)
        other.software = self.software._replace(installed=installed)
        return other

    def with_violations(self, violations: Violations) -> "Trust":
        """The same, but for these. What is prepared does not depend on them and is shared."""
        other = copy.copy(self)
        other.violations = violations
        return other

    def bounds(self, thumbprint: bytes, channel: parameters.Channel) -> list[Bound]:
        """What every certificate that is bound to the channel says about its quantity, at whatever time."""
        quantity = channel.quantity
        return [
            self._whole(bound, binding, quantity)
            for binding in self._by_meter.get(thumbprint, ())
            if binding.channel == channel.id and quantity is not None
            for bound in self.register.bound(binding, quantity, channel.serial)
        ]

    def _whole(self, bound: Bound, binding: Binding, quantity: Quantity) -> Bound:
        """With its chain of standards, what comparisons found of its repeatability if the binding asks for that,
        and the scheme's target where it has none of its own."""
        standards = self.hierarchy.findings(bound.certificate, bound.result.instrument.serial)
        bound = replace(bound, standards=standards, repeatability=tuple(self._repeatability(binding)))
        percent = self._targets.get(quantity)
        if percent is None or bound.terms.target is not None:
            return bound
        return replace(bound, terms=replace(bound.terms, target=Target(percent, "%")))

    def _repeatability(self, binding: Binding) -> Iterator[Repeatability]:
        if not binding.terms.repeatability_compared:
            return
        for run in self.believed:
            is_its = run.is_about(binding.thumbprint, binding.channel, binding.serial)
            found = run.repeatability if is_its and run.end_ms > binding.from_ms else None
            if found is not None:
                yield found

    def facts(self, thumbprint: bytes, channel: int) -> list[Period]:
        """What comparisons and checks say about the channel, for each instrument that was behind it."""
        plan = self.plans.of(thumbprint, channel)
        return [
            period
            for binding in self._by_meter.get(thumbprint, ())
            if binding.channel == channel
            for period in periods(
                [each for each in self.believed if each.is_about(thumbprint, channel, binding.serial)],
                plan,
                binding.from_ms,
                END_MS if binding.to_ms is None else binding.to_ms,
                self._doubts,
            )
        ]

    def plan(self, thumbprint: bytes, parameter_set: bytes) -> MeterPlan:
        plan = self._plans.get((thumbprint, parameter_set))
        if plan is None:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            plan = self._plans[thumbprint, parameter_set] = self._make(thumbprint, parameter_set)
        return plan

    def _make(self, thumbprint: bytes, parameter_set: bytes) -> MeterPlan:
        known = parameters.decode(parameter_set)
        channels = known.channels if known is not None else ()
        bounds = {channel.id: self.bounds(thumbprint, channel) for channel in channels}
        codes = parameters.findings(parameter_set, thumbprint, self.authorities)
        facts = {channel.id: self.facts(thumbprint, channel.id) for channel in channels}
        by_id = {channel.id: channel for channel in channels}
        limits = [limit for limit in self.plausible.limits if limit.meter == thumbprint]
        balances = [each for each in self.plausible.balances if each.meter == thumbprint]
        limit_rules, unlimited = plausibility.rules_of(limits, by_id)
        balance_rules, unbalanced = balance.rules_of(balances, by_id)
        validity_rules = data_validity.rules_of(self.thresholds.data_validity, channels)
        rules = limit_rules + balance_rules + validity_rules
        return MeterPlan(known, bounds, codes, self.max_jitter_ms, self.rule, facts, rules, unlimited + unbalanced)


def load_trust(config: GatewayConfig) -> Trust:
    """Everything that the configuration names, read and checked against each other; ConfigError otherwise."""
    certificates = {found.identifier: found for _, found in load_certificates(config)}
    loaded = [(path, load_bindings(path)) for path in config.traceability.bindings]
    bindings = check_bindings(config.path, loaded, certificates)
    authorities = _authorities(config.parameters.authority_keys, t.ROLE_PARAMETERS)
    update_authorities = load_update_authorities(config)
    if authorities.keys() & update_authorities.keys():
        told = "one of them is a parameter authority's too"
        raise ConfigError(config.path, "updates.authority_keys", told, "give each authority a key of its own")
    return Trust(
        certificates=certificates.values(),
        bindings=bindings,
        authorities=authorities,
        clocks=Clocks(
            config.clock.uncertainty_ms,
            config.clock.max_skew_ms,
            config.traceability.max_clock_uncertainty_ms,
        ),
        clock_trusted=config.clock.trusted,
        utc_offset_minutes=config.traceability.utc_offset,
        update_authorities=update_authorities,
        max_jitter_ms=config.traceability.max_sampling_jitter_ms,
        makers=load_makers(config.makers.roots, config.makers.revocation_lists),
        rule=decision_rule(config.traceability),
        comparisons=load_events(config),
        plans=load_plans(config.traceability.checks),
        plausible=load_plausibility(config.path, config.traceability.plausibility),
        thresholds=load_thresholds(config.gateway.scheme),
        standards=Rules(
            frozenset(config.traceability.national_institutes),
            config.traceability.standard_ratio,
        ),
        software=Approvals(config.listed_software),
    )


def decision_rule(section: TraceabilitySection) -> DecisionRule:
    """By which calibrated errors are held against the limits of a class."""
    return DecisionRule(section.guard_band, section.guard_multiplier_percent / 100, 1 / section.mpe_ratio)


def load_events(config: GatewayConfig) -> list[Comparison]:
    folder = config.comparisons.folder
    return [] if folder is None else load_comparisons(folder, comparison_keys(config))


def comparison_keys(config: GatewayConfig) -> AuthorityKeys:
    """The gateway's own verdict key, and those that the configuration names besides."""
    own = public_path(config.keys.verdict)
    if own.exists():
        kid, key = load_authority_key(own, t.ROLE_VERDICT)
    else:
        sealer = load_sealer(config.keys.verdict, t.ROLE_VERDICT)
        kid, key = sealer.kid, sealer.public_key
    return {**_authorities(config.comparisons.keys, t.ROLE_VERDICT), kid: key}


def load_update_authorities(config: GatewayConfig) -> AuthorityKeys:
    return _authorities(config.updates.authority_keys, t.ROLE_UPDATES)


def certificate_files(config: GatewayConfig) -> tuple[Path, ...]:
    """Those that are named, and those in the folder of imported ones."""
    folder = config.certificates.folder
    found = [*config.traceability.certificates, *(sorted(folder.glob("*.toml")) if folder is not None else ())]
    return tuple({path.resolve(): path for path in found}.values())


def load_certificates(config: GatewayConfig) -> list[tuple[Path, Certificate]]:
    tables, anchors = load_tables(), load_anchors(config.certificates)
    loaded: list[tuple[Path, Certificate]] = []
    known: set[str] = set()
    for path in certificate_files(config):
        certificate = load_dcc(path, anchors).certificate if is_dcc_file(path) else load_certificate(path, tables)
        if certificate.identifier in known:
            raise ConfigError(path, "id", f"{certificate.identifier} is in two files", "take one out")
        known.add(certificate.identifier)
        loaded.append((path, certificate))
    return loaded


def _authorities(paths: Iterable[Path], role: str) -> AuthorityKeys:
    return dict(load_authority_key(path, role) for path in paths)


def check_bindings(
    config: Path, loaded: Iterable[tuple[Path, Iterable[Binding]]], certificates: Mapping[str, Certificate]
) -> list[Binding]:
    """All of them, by file; ConfigError where one does not fit its certificates or another binding."""
    bindings: list[Binding] = []
    for path, found in loaded:
        for index, binding in enumerate(found):
            _check(path, f"binding[{index}]", binding, certificates)
            bindings.append(binding)
    _refuse_overlaps(config, bindings)
    return bindings


def _check(path: Path, key: str, binding: Binding, certificates: Mapping[str, Certificate]) -> None:
    for identifier in binding.certificates:
        if identifier not in certificates:
            raise ConfigError(
                path,
                f"{key}.certificates",
                f"no certificate {identifier} is loaded",
                "correct it, or add its file to traceability.certificates",
            )
        if certificates[identifier].reference_gases:
            raise ConfigError(
                path,
                f"{key}.certificates",
                f"{identifier} is of a reference gas, which is no channel's instrument",
                "take it out, and name it where the gas is used",
            )
        serials = sorted({result.instrument.serial for result in certificates[identifier].results})
        if binding.serial not in serials:
            raise ConfigError(
                path,
                f"{key}.serial",
                f"certificate {identifier} is not about {binding.serial}",
                f"it is about {', '.join(serials)}; look at the instrument's plate",
            )
        _check_table(path, key, binding, certificates[identifier])


def _check_table(path: Path, key: str, binding: Binding, certificate: Certificate) -> None:
    """Which of several tables about one quantity it is, such as of three phases, nobody but a person knows."""
    counts = Counter(each.quantity for each in certificate.results if each.instrument.serial == binding.serial)
    quantity, count = counts.most_common(1)[0]
    if count > 1 if binding.table is None else binding.table > count:
        told = f"{count} tables" if binding.table is None else f"no table {binding.table}"
        raise ConfigError(
            path,
            f"{key}.table",
            f"certificate {certificate.identifier} has {told} of {quantity.name} for {binding.serial}",
            "take it out" if count == 1 else f"say which of them is the channel's: table = 1 to {count}",
        )


def _refuse_overlaps(path: Path, bindings: Iterable[Binding]) -> None:
    """Two instruments cannot be behind one channel at one time."""
    ordered = sorted(bindings, key=lambda entry: (entry.thumbprint, entry.channel, entry.from_ms))
    for one, other in pairwise(ordered):
        same_channel = (one.thumbprint, one.channel) == (other.thumbprint, other.channel)
        if same_channel and other.from_ms < (END_MS if one.to_ms is None else one.to_ms):
            raise ConfigError(
                path,
                "traceability.bindings",
                f"channel {one.channel} of {one.thumbprint.hex()[:16]}… is bound twice at one time",
                "give the earlier binding its end (to)",
            )
