"""The clock of the maker's computer dates certificates, lists and records: what is certainly wrong is refused."""

import datetime as dt
from pathlib import Path

from meter_gateway.texts import Told
from meter_tools.provisioning.ca import Authority

SLACK = dt.timedelta(hours=1)
"""Two benches with one database need not agree to the second."""


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


def check(moment: dt.datetime) -> None:
    """Told if it is before this program was there."""
    built = dt.datetime.fromtimestamp(Path(__file__).stat().st_mtime, dt.UTC)
    if moment < built - dt.timedelta(days=1):
        raise Told("host.clock_software", now=_date(moment), then=_date(built))


def check_issuing(moment: dt.datetime, authority: Authority, newest_ms: int | None) -> None:
    """Also if the CA is not in force then, or the factory database (its newest row) is later."""
    check(moment)
    if not authority.is_in_force(moment):
        certificate = authority.certificate
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        raise Told("host.clock_ca", now=_date(moment), begin=_date(begin), end=_date(end))
    if newest_ms is not None:
        newest = dt.datetime.fromtimestamp(newest_ms / 1000, dt.UTC)
        if moment < newest - SLACK:
            raise Told("host.clock_database", now=_date(moment), then=_date(newest))


def check_list(moment: dt.datetime, updated: dt.datetime) -> None:
    """Also if the revocation list is later, for the next one would seem older than this."""
    if moment < updated - SLACK:
        raise Told("host.clock_list", now=_date(moment), then=_date(updated))


def _date(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
