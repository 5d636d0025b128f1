"""`costspan prices`: the price table, what a call would cost, whether your own prices are sound."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import click

from costspan.cli import options, renewing
from costspan.facts.call import Answer
from costspan.facts.counting import number
from costspan.facts.money import Cost
from costspan.facts.usage import UNITS, Usage
from costspan.pricing import Explanation, Listed, Prices
from costspan.pricing.overrides import OverrideError
from costspan.pricing.prices import quantity_of
from costspan.report import Page, bill
from costspan.report.bill import is_meant
from costspan.report.table import Column, Table
from costspan.settings import OTEL_COSTSPAN_PRICES, Settings

#: The counts of a call that nobody described.
_SAMPLE: Final = 1_000


@click.group(invoke_without_command=True)
@click.pass_context
def prices(ctx: click.Context) -> None:
    """The price table, its age, and your own prices.

    Without a command: the version of the table in force, its age, and how to renew it.
    """
    if ctx.invoked_subcommand is None:
        own = os.environ.get(OTEL_COSTSPAN_PRICES)
        click.echo(renewing.age(options.load_prices(Path(own) if own else None), time.time()))
        click.echo("Renew it: pip install --upgrade costspan. A table of your choice: `costspan prices update --help`.")


prices.add_command(renewing.update)


@prices.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--provider", help="Only models of this provider.")
@options.at
@options.as_json
def show(models: tuple[str, ...], provider: str | None, at_s: float | None, *, is_json: bool) -> None:
    """The models of the bundled table and their rates in USD.

    MODEL may have stars: `costspan prices show "gpt-5*"`. Without one, all models are shown.
    """
    table = options.load_prices(None)
    moment_s = time.time() if at_s is None else at_s
    listed = [one for one in table.models(moment_s) if is_meant(one, models, provider)]
    if is_json:
        click.echo(json.dumps({"price_version": table.version, "models": [_listed(one) for one in listed]}, indent=2))
        return
    if not listed:
        raise click.ClickException(f'the price table {table.version} has no such model; try it with stars: "*gpt*"')
    _print_models(listed)
    click.echo(f"{number(len(listed), 'model')}, {table.version}. USD per million tokens unless a unit says otherwise.")


@prices.command()
@click.argument("provider")
@click.argument("model")
@click.option("--input", "input_", type=click.IntRange(min=0), metavar="N", help="Input tokens, cached ones included.")
@click.option("--output", type=click.IntRange(min=0), metavar="N", help="Output tokens, reasoning included.")
@click.option(
    "--unit", "units", multiple=True, metavar="UNIT=N", help="Any other unit, such as cache_read=500 or web_searches=2."
)
@click.option("--host", help="The host that is called, where the price depends on it.")
@click.option("--tier", help="The service tier, as the provider names it.")
@click.option("--geo", help="The place of inference, as the provider names it.")
@click.option("--speed", help="The speed class, as the provider names it.")
@click.option("--batch", is_flag=True, help="The price in a batch.")
@options.at
@options.prices
@options.as_json
def explain(
    provider: str,
    model: str,
    input_: int | None,
    output: int | None,
    units: tuple[str, ...],
    host: str | None,
    tier: str | None,
    geo: str | None,
    speed: str | None,
    at_s: float | None,
    overrides: Path | None,
    *,
    batch: bool,
    is_json: bool,
) -> None:
    """What a call of MODEL would cost, and why.

    \b
    costspan prices explain openai gpt-5 --input 1000 --output 200 --unit cache_read=500

    Without counts it has 1,000 input and 1,000 output tokens.
    """  # noqa: D301 - \b is click's sign for "leave these lines as they are"
    given = {"input": input_, "output": output}
    counts = {**{unit: count for unit, count in given.items() if count is not None}, **_counts(units)}
    usage = Usage(counts or dict.fromkeys(given, _SAMPLE))
    answer = Answer(usage, model, None, tier, geo, speed, "batch" if batch else None)
    moment_s = time.time() if at_s is None else at_s
    explanation = options.load_prices(overrides).explain(provider, host, model, answer, moment_s)
    if is_json:
        click.echo(json.dumps(bill.as_object(explanation), indent=2))
    else:
        _print_bill(explanation)
        if not counts:
            click.echo(f"No counts are given, so {_SAMPLE:,} of each are taken: --input, --output, --unit.")
    if not isinstance(explanation.price, Cost):
        raise click.exceptions.Exit(1)


@prices.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def check(file: Path) -> None:
    """Check FILE, your own prices.

    Every mistake is told with its line, and every rule that takes no effect, with the reason. Exit code 1 if there is a mistake.
    """
    try:
        loaded = Prices.load(file)
    except OverrideError as fault:
        for mistake in fault.mistakes:
            click.echo(mistake, err=True)
        raise click.exceptions.Exit(1) from fault
    idle = loaded.idle(time.time(), [provider for _, provider in Settings.read(os.environ).hosts])
    for rule in idle:
        click.echo(f"{file.name}:{rule.line}: takes no effect: {rule.why}")
    word = f"sound, but {number(len(idle), 'rule')} without effect" if idle else "sound"
    click.echo(f"{file}: {word}. The prices in force are then {loaded.version}.")


def _listed(one: Listed) -> dict[str, Any]:
    return {
        "provider": one.provider,
        "model": one.model,
        "usd": _rates(one.usd),
        "long_prompts": [{"above_input_tokens": start, "usd": _rates(usd)} for start, usd in one.long_prompts],
        "is_free": one.is_free,
        "origin": one.origin,
    }


def _rates(usd: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {unit: {"usd": f"{amount:f}", "per": quantity_of(unit)} for unit, amount in usd.items()}


def _print_models(listed: Iterable[Listed]) -> None:
    rows = [(one.provider, one.model, *_cells(one)) for one in listed]
    columns = (
        Column("Provider", is_name=True),
        Column("Model", is_name=True),
        Column("Input"),
        Column("Output"),
        Column("Others", is_text=True),
    )
    Page().table(Table(columns, lambda: rows))


def _cells(one: Listed) -> tuple[str, str, str]:
    if one.is_free:
        return "free", "free", ""
    plain = {unit: f"{amount:f}" for unit, amount in one.usd.items()}
    others = [_other(unit, text) for unit, text in plain.items() if unit not in {"input", "output"}]
    others += [f"above {start:,} tokens: {_long(usd, one.usd)}" for start, usd in one.long_prompts]
    return plain.get("input", ""), plain.get("output", ""), ", ".join(others)


def _other(unit: str, amount: str) -> str:
    quantity = quantity_of(unit)
    return f"{unit} {amount}" + {"million tokens": "", "1": " each"}.get(quantity, f" per {quantity}")


def _long(usd: dict[str, Any], plain: dict[str, Any]) -> str:
    return " ".join(f"{unit} {amount:f}" for unit, amount in usd.items() if amount != plain.get(unit))


def _counts(units: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for text in units:
        unit, _, count = text.partition("=")
        if unit not in UNITS or not count.isdigit():
            raise click.UsageError(f"--unit {text!r}: expected UNIT=N, the unit one of {', '.join(sorted(UNITS))}")
        counts[unit] = int(count)
    return counts


def _print_bill(explanation: Explanation) -> None:
    page = Page()
    if explanation.steps:
        page.table(bill.table(explanation))
    for sentence in bill.sentences(explanation):
        page.sentence(sentence)
