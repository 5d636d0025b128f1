"""One call of the ledger in sentences: who it was for, what it used, what was booked, and where the amount comes from."""

from __future__ import annotations

import json
from datetime import datetime, tzinfo

from costspan.facts.attribution_words import WORDS
from costspan.facts.call import OK
from costspan.pricing import Prices
from costspan.report import bill
from costspan.report.amounts import usd
from costspan.report.naming import NOT_SET
from costspan.report.record import Again, Record


def lines(one: Record, zone: tzinfo) -> list[str]:
    """What is known of the call, a line for each thing, its name before it."""
    started = datetime.fromtimestamp(one["started_ns"] // 10**9, zone)
    who = [f"{word.replace('_', ' ')} {one[word]}" for word in WORDS if one[word] is not None]
    how = [f"{word} {one[word]}" for word in ("tier", "geo", "speed", "processing") if one[word] is not None]
    how += ["streamed"] if one["is_stream"] else []
    host = f" at {one['host']}" if one["host"] else ""
    ended = [one["outcome"], one["error_type"], one["http_status"] and f"HTTP {one['http_status']}"]
    answered = one["response_model"] or "nobody"
    return [
        f"call      {one['id']}" + (f", answer {one['response_id']}" if one["response_id"] else ""),
        f"started   {started.isoformat(sep=' ')}",
        f"for       {', '.join(who) or f'{NOT_SET}: no session, task type, source, team or account'}",
        f"by        {one['provider']}{host}, {one['operation']}; asked {one['request_model']}, answered {answered}",
        *([f"how       {', '.join(how)}"] if how else []),
        f"ended     {', '.join(word for word in ended if word)} after {one['duration_s'] or 0:.2f} s",
        f"usage     {_usage(one)}",
        f"booked    {_booked(one)}",
    ]


def _usage(one: Record) -> str:
    if one["units"] is None:
        return "none reported"
    counts = ", ".join(f"{unit} {count:,}" for unit, count in json.loads(one["units"]).items())
    if one["unread"]:
        counts += f"; not understood: {one['unread'].replace(',', ', ')}"
    if one["is_complete"]:
        return counts
    why = "the stream reported no usage" if one["outcome"] == OK else "the stream was cut short"
    return f"{counts} ({why}: an estimate)"


def _booked(one: Record) -> str:
    if one["cost_nano_usd"] is not None:
        told = "reported by the provider" if one["cost_source"] == "provider" else "computed from the price table"
        return f"{usd(one['cost_nano_usd'])} USD, {one['quality']}, {told} ({one['price_version']})"
    if one["unpriced_reason"] is not None:
        return f"unpriced: {one['unpriced_detail'] or one['unpriced_reason']}"
    return "nothing: the call brought no answer to bill"


def verdict(one: Record, again: Again, prices: Prices) -> list[str]:
    """Which prices were chosen and why, and whether they come to what was booked."""
    if one["units"] is None and one["cost_nano_usd"] is None:
        return []  # nothing was reported that prices could be asked about
    said = list(bill.sentences(again.explanation))
    if again.is_same and one["cost_nano_usd"] is None:
        return [line for line in said if line != f"unpriced: {one['unpriced_detail']}"]  # that stands above
    if again.is_same:
        return [*said, "These prices come to what was booked."]
    difference = (
        f"This is not what was booked: the prices in force are {prices.version}, the record was made "
        f"{'by ' + one['price_version'] if one['price_version'] else 'without a price'}. The record stays as it is."
    )
    return [*said, difference]
