"""`costspan doctor`: is everything counted, and do the figures arrive?"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Final

import click

from costspan import guard
from costspan.cli import budget_store, destinations, left, options, watching
from costspan.cli.findings import NOTE, OK, WRONG, Finding
from costspan.cli.masking import masked
from costspan.facts.counting import number
from costspan.ledger.checking import differences
from costspan.ledger.faults import LedgerError
from costspan.ledger.inspection import Inspection, examine, has_room
from costspan.ledger.place import NoHome, NotAFile, check, path_of
from costspan.ledger.store import Store
from costspan.pricing import Prices, loaded
from costspan.pricing.overrides import OverrideError
from costspan.report import Page, Question, ask, notices
from costspan.report.amounts import short_usd
from costspan.report.period import Period
from costspan.report.priced_now import Now, place, priced_now
from costspan.sdk import private_names
from costspan.settings import AUTO, OFF, SETTINGS, Settings, has_otlp_endpoint

#: Prices change every few weeks: an older table is told.
_OLD_DAYS: Final = 60
_LATELY_DAYS: Final = 30
_NS_PER_S: Final = 1_000_000_000
_DAY_S: Final = 86_400
_PRIVATE: Final = 0o077
#: So many records are compared with the sums in 3 s.
_MOST_COMPARED: Final = 200_000


@click.command()
@options.ledger
@options.as_json
def doctor(ledger: Path | None, *, is_json: bool) -> None:
    """Whether calls are counted here, and the figures arrive.

    It is about the Python and the environment that you ask in.

    Looks at the client libraries installed and whether they can be watched, at other packages that watch them, where
    the telemetry goes and whether somebody listens there, what waits to be delivered, the price table, the ledger, and the
    settings. Imports the client libraries; sends nothing. Passwords, tokens and headers of the environment are shown
    as ***. Exit code 1 if something is wrong.
    """
    found = [each._replace(sentence=masked(each.sentence, os.environ)) for each in _findings(os.environ, ledger)]
    is_well = all(finding.level != WRONG for finding in found)
    if is_json:
        click.echo(json.dumps({"is_well": is_well, "findings": [finding._asdict() for finding in found]}, indent=2))
    else:
        out = Page()
        for finding in found:
            out.line(f"{finding.level.upper() if finding.level == WRONG else finding.level:5}  "
                     f"{finding.topic:12}  {finding.sentence}.")  # fmt: skip
    if not is_well:
        raise click.exceptions.Exit(1)


def _findings(environ: Mapping[str, str], ledger: Path | None) -> Iterator[Finding]:
    set_ = Settings.read(environ)
    sections: tuple[tuple[str, Callable[[], Iterable[Finding]]], ...] = (
        ("launcher", lambda: watching.launcher(environ)),
        ("settings", lambda: settings(set_, environ)),
        ("parts", lambda: watching.parts(set_)),
        ("clients", watching.clients),
        ("HTTP libraries", lambda: watching.http_clients(set_)),
        ("not watched", watching.not_watched),
        ("neighbours", watching.neighbours),
        ("prices", lambda: prices(set_, time.time())),
        ("ledger", lambda: where_and_how(ledger, set_, environ)),
        ("not counted", lambda: left_behind(ledger, set_, environ, time.time())),
        ("hosts", lambda: hosts(ledger, set_, environ, time.time())),
        ("labels", lambda: labels(environ, time.time())),
        ("outbox", lambda: left.doctor(set_, environ, time.time())),
        ("budgets", lambda: budget_store.doctor(set_, environ)),
        ("telemetry", lambda: destinations.telemetry(environ)),
        ("sdk", the_sdk),
        ("instance ids", lambda: destinations.instances(environ)),
    )
    for topic, look in sections:
        found = guard.part(topic, lambda look=look: list(look()))
        if found is None:
            found = [Finding(topic, WRONG, f"could not be looked at: {guard.degraded[topic]}")]
        yield from found


def the_sdk() -> Iterator[Finding]:
    """Whether the OpenTelemetry SDK has what costspan uses of it beyond its public API."""
    version = metadata.version("opentelemetry-sdk")
    gone = private_names.missing()
    for each in gone:
        yield Finding("sdk", NOTE, f"opentelemetry-sdk {version} has no {each.of}.{each.name}: {each.without}")
    if not gone:
        yield Finding("sdk", OK, f"opentelemetry-sdk {version} has all that costspan uses beyond its public API")


def settings(found: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """The settings in force that are not the defaults, and the mistakes in them."""
    for mistake in found.mistakes:
        yield Finding("settings", WRONG, mistake)
    if not found.enabled:
        yield Finding("settings", NOTE, "OTEL_COSTSPAN_ENABLED switches costspan off: nothing is counted")
    given = [
        f"{setting.name}={budget_store.shown(environ[setting.name])}"
        for setting in SETTINGS
        if environ.get(setting.name)
    ]
    yield Finding("settings", OK, ", ".join(given) if given else "all are the defaults (`costspan docs settings`)")


def prices(found: Settings, now_s: float) -> Iterator[Finding]:
    """The price table's version and age, and whether the user's own prices are sound."""
    try:
        table = Prices.load(Path(found.prices) if found.prices else None)
    except OverrideError as fault:
        for mistake in fault.mistakes:
            yield Finding("prices", WRONG, f"your own prices are not used: {mistake}")
        table = Prices.load(None)
    for sentence in table.questions([provider for _, provider in found.hosts]):
        yield Finding("prices", WRONG, sentence)
    for rule in table.idle(now_s, [provider for _, provider in found.hosts]):
        yield Finding("prices", NOTE, f"{found.prices}:{rule.line}: takes no effect: {rule.why}")
    day = re.search(r"\d{4}-\d\d-\d\d", table.version)
    made_s = datetime.fromisoformat(day[0]).replace(tzinfo=timezone.utc).timestamp() if day else now_s
    age_days = max(int((now_s - made_s) // _DAY_S), 0)
    if age_days > _OLD_DAYS:
        yield Finding(
            "prices", NOTE, f"{table.version} is {number(age_days, 'day')} old: pip install --upgrade costspan"
        )
    else:
        yield Finding("prices", OK, f"{table.version}, {number(age_days, 'day')} old")


def where_and_how(chosen: Path | None, set_: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Where the ledger lies, if there is a place for it, and how it is."""
    try:
        path = chosen or path_of(set_.ledger, environ)
        check(path)
    except (NoHome, NotAFile) as fault:
        is_needed = set_.ledger != OFF and not (set_.ledger == AUTO and has_otlp_endpoint(environ))
        yield Finding("ledger", WRONG if is_needed else NOTE, f"no ledger is written: {fault}")
    else:
        yield from the_ledger(examine(path), set_, environ)


def left_behind(chosen: Path | None, set_: Settings, environ: Mapping[str, str], now_s: float) -> Iterator[Finding]:
    """What programs under costspan left behind on calls that are not in the ledger."""
    with contextlib.suppress(NoHome):
        path = chosen or path_of(set_.ledger, environ)
        for sentence in notices.of(environ, now_s, last_ns=examine(path).last_ns, ledger=path):
            yield Finding("not counted", NOTE, sentence.removesuffix("."))


def hosts(chosen: Path | None, set_: Settings, environ: Mapping[str, str], now_s: float) -> Iterator[Finding]:
    """Hosts that were called lately, of which nobody said whose prices count there."""
    lately = Period("lately", int((now_s - _LATELY_DAYS * _DAY_S) * _NS_PER_S), None)
    with contextlib.suppress(NoHome, NotAFile, LedgerError):  # these are told of the ledger
        with Store.read(chosen or path_of(set_.ledger, environ)) as store:
            question = Question(period=lately)
            sentences = ask(store, question, now_s).unknown_sellers
            now = Now(loaded(set_.prices), set_.hosts, now_s) if sentences else None
            followed = priced_now(store, question, now).places if now else frozenset[str]()
        for sentence in sentences:
            where = place(sentence)
            if where in followed:
                since = f"calls to {where} have a price by the settings of now; those booked before stay without one"
                yield Finding("hosts", OK, since)
            else:
                yield Finding("hosts", NOTE, f"calls are unpriced: {sentence}")


def labels(environ: Mapping[str, str], now_s: float) -> Iterator[Finding]:
    """Whether a program had more labels than its counters keep apart."""
    for sentence in notices.overflowed(environ, now_s):
        yield Finding("labels", NOTE, sentence)


def the_ledger(found: Inspection, set_: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the ledger is written, where it lies, its health and its losses."""
    topic = "ledger"
    if set_.ledger == OFF:
        yield Finding(topic, NOTE, "OTEL_COSTSPAN_LEDGER is off: no ledger is written")
    elif set_.ledger == AUTO and has_otlp_endpoint(environ):
        yield Finding(
            topic, OK, "an OTLP endpoint is configured, so no ledger is written (OTEL_COSTSPAN_LEDGER=on does)"
        )
    else:
        obstacle = has_room(found.path)
        if obstacle:
            yield Finding(topic, WRONG, f"records cannot be written: {obstacle}")
    if not found.is_there:
        yield Finding(topic, OK, f"no ledger yet at {found.path}: no call of a program under costspan has been booked")
    elif found.fault:
        yield Finding(topic, WRONG, f"{found.fault}. The next record moves a corrupt file aside and begins a new one")
    else:
        yield from _health(found)
    if found.waiting:
        yield Finding(
            topic, NOTE,
            f"records wait in {number(len(found.waiting), 'side file')} beside it: `costspan usage`, or the next program "
            "that writes the ledger, books them",
        )  # fmt: skip
    for path in found.set_aside:
        yield Finding(topic, NOTE, f"a corrupt ledger was moved aside to {path}: its records are in no report")


def _sums(found: Inspection) -> Iterator[Finding]:
    """Whether the sums that answer questions are those of the records; of a large ledger that takes too long to be looked at here."""
    if found.records > _MOST_COMPARED:
        sentence = (
            f"its sums were not compared with its {number(found.records, 'record')}: `costspan ledger check` does it"
        )
        yield Finding("ledger", OK, sentence)
        return
    with Store.read(found.path) as store:
        wrong = len(differences(store))
    if wrong:
        yield Finding(
            "ledger", WRONG,
            f"{number(wrong, 'sum')} of days or hours differ{'s' if wrong == 1 else ''} from the records, so that `costspan usage` may show wrong "
            "figures: `costspan ledger check --rebuild` makes them anew",
        )  # fmt: skip


def _health(found: Inspection) -> Iterator[Finding]:
    last = "none"
    if found.last_ns is not None:
        last = datetime.fromtimestamp(found.last_ns // 10**9, timezone.utc).isoformat(sep=" ")
    yield Finding(
        "ledger", OK,
        f"{found.path} is sound: {number(found.records, 'record')}, {found.size_bytes / 1e6:,.1f} MB, last call {last}",
    )  # fmt: skip
    yield from _sums(found)
    if found.lost_records:
        yield Finding(
            "ledger", WRONG,
            f"it could not take {number(found.lost_records, 'record')} of {short_usd(found.lost_nano_usd, 6)} USD so far, "
            f"the last because: {found.lost_reason}",
        )  # fmt: skip
    for provider, fields, calls in found.unread:
        yield Finding(
            "usage", NOTE,
            f"{number(calls, 'call')} of {provider} with usage that costspan does not understand: {fields.replace(',', ', ')}. "
            "They are booked as incomplete, a lower bound: pip install --upgrade costspan, or report these field names",
        )  # fmt: skip
    if found.mode & _PRIVATE:
        yield Finding("ledger", NOTE, f"others may read it: chmod 600 {found.path}")
    if found.journal != "wal":
        yield Finding(
            "ledger",
            NOTE,
            f"it is in {found.journal} mode, not WAL (a network file system?): slow, one writer at a time",
        )
