"""`costspan estimate`: what a call will use and cost, before it is sent."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import IO, Any, cast

import click

from costspan.budgets.bounds import MOST_OUTPUT, PROMPTS
from costspan.cli import accuracy, options
from costspan.facts import usage as units
from costspan.facts.counting import number
from costspan.forecast import estimate as told
from costspan.forecast.accuracy import compared
from costspan.forecast.estimate import Basis, Estimate, made
from costspan.forecast.history import Known, known
from costspan.forecast.request import EstimateError, read
from costspan.ledger.faults import LedgerError
from costspan.ledger.place import NoHome, default_path
from costspan.report import Page
from costspan.report.table import Column, Table

_COLUMNS = (
    Column("", is_left=True), Column("Expected"), Column("At most"), Column("Told from", is_text=True),
)  # fmt: skip
_WORDS = {
    told.WORDS: "the words of the request",
    told.BYTES: "a token for each byte",
    told.REQUEST: "the request's limit",
    told.MODEL: "the model's limit",
    told.NOTHING: "unknown",
}


@click.command()
@click.argument("file", type=click.File("r", encoding="utf-8", errors="replace"), default="-")
@click.option("--model", help="The model that is to be called, where the file does not say it.")
@click.option("--provider", help="Who serves it.  [default: as in the ledger, else by the model's name]")
@click.option("--max-output-tokens", type=int, metavar="N", help="The limit of output that the call will state.")
@click.option("--task-type", help="The task type that the call is for: its history counts before that of the model.")
@click.option(
    "--accuracy", "is_accuracy", is_flag=True, help="Instead: how far estimates were from what came, by model."
)
@click.option("--text", "is_text", is_flag=True, help="The file is the text of a prompt, whatever it looks like.")
@options.ledger
@options.prices
@options.at
@options.as_json
def estimate(
    file: IO[str],
    model: str | None,
    provider: str | None,
    max_output_tokens: int | None,
    task_type: str | None,
    ledger: Path | None,
    overrides: Path | None,
    at_s: float | None,
    *,
    is_accuracy: bool,
    is_text: bool,
    is_json: bool,
) -> None:
    """What a call will use and cost, before it is sent. Nothing is sent.

    FILE, or standard input, is the request as JSON (messages, tools, ... as the client library takes them), a list of
    messages, or the text of a prompt.

    \b
    costspan estimate request.json --model gpt-5-mini --max-output-tokens 500
    echo "Write a poem" | costspan estimate --model gpt-5-mini
    costspan estimate --accuracy
    """  # noqa: D301 - \b is click's sign for "leave these lines as they are"
    if is_accuracy:
        _compare(options.ledger_path(ledger), is_json=is_json)
        return
    name = "standard input" if file.name == "<stdin>" else str(file.name)
    request = _request(file.read(), name, is_text=is_text)
    if model is not None:
        request["model"] = model
    if max_output_tokens is not None:
        request = {word: value for word, value in request.items() if word not in MOST_OUTPUT}
        request["max_output_tokens"] = max_output_tokens
    try:
        asked = read(request)
    except EstimateError as fault:
        raise click.ClickException(f"{name}: {fault}") from fault
    prices = options.load_prices(overrides)
    calls = _known(ledger, asked.model, task_type)
    found = made(asked, provider, task_type, calls, prices, time.time() if at_s is None else at_s)
    if is_json:
        click.echo(json.dumps(found.as_object(), indent=2))
    else:
        _print(found, Page())


def _compare(path: Path, *, is_json: bool) -> None:
    with options.read_ledger(path) as store:
        try:
            accuracy.show(compared(store), is_json=is_json)
        except LedgerError as fault:
            raise click.ClickException(str(fault)) from fault


def _request(text: str, name: str, *, is_text: bool) -> dict[str, Any]:
    if is_text or not (text.lstrip().startswith(("{", "[")) or name.endswith(".json")):
        return {"messages": [{"role": "user", "content": text}]} if text.strip() else {"messages": []}
    try:
        found: Any = json.loads(text)
    except json.JSONDecodeError as fault:
        raise click.ClickException(
            f"{name}:{fault.lineno}:{fault.colno}: not JSON: {fault.msg} (a prompt that begins like JSON: --text)"
        ) from fault
    except RecursionError as fault:
        raise click.ClickException(f"{name}: nested too deep to be a request") from fault
    if isinstance(found, list):
        return {"messages": cast("list[Any]", found)}
    if not isinstance(found, dict):
        raise click.ClickException(
            f"{name}: expected a request with one of {', '.join(PROMPTS)}, or a list of messages"
        )
    return cast("dict[str, Any]", found)


def _known(ledger: Path | None, model: str, task_type: str | None) -> Known:
    """What the ledger knows of the model; nothing where this user has no ledger yet."""
    try:
        path = ledger or default_path(os.environ)
    except NoHome:
        return Known()
    if ledger is None and not path.exists():
        return Known()
    with options.read_ledger(path) as store:
        try:
            return known(store, model, task_type)
        except LedgerError as fault:
            raise click.ClickException(str(fault)) from fault


def _print(found: Estimate, page: Page) -> None:
    page.title(f"{found.model} of {found.provider}" + (f", task type {found.task_type}" if found.task_type else ""))
    rows = [
        *((f"{kind} tokens", *_counts(found, kind), _basis(found.basis[kind])) for kind in (units.INPUT, units.OUTPUT)),
        ("USD", _usd(found.expected.cost_usd), _usd(found.bound.cost_usd), _price(found)),
    ]
    page.table(Table(_COLUMNS, lambda: rows))
    for part in found.left_out:
        page.sentence(f"Not estimated: {part}. The call uses more than is expected here, and has no upper bound.")
    if found.unpriced:
        page.sentence(found.unpriced[:1].upper() + found.unpriced[1:] + ".")
    if units.OUTPUT not in found.expected.tokens:
        page.sentence("The ledger has too few calls of this model to tell how long an answer will be.")


def _counts(found: Estimate, kind: str) -> list[str]:
    counts = [amount.tokens.get(kind) for amount in (found.expected, found.bound)]
    return ["?" if count is None else f"{count:,}" for count in counts]


def _usd(cost: Any) -> str:
    return "?" if cost is None else f"{cost:.6f}"


def _basis(basis: Basis) -> str:
    calls = f"{number(basis.calls, 'call')} {basis.of}"
    expected, bound = (_WORDS.get(word, calls) for word in (basis.expected, basis.bound))
    return expected if expected == bound else f"{expected}; at most: {bound}"


def _price(found: Estimate) -> str:
    return f"{found.price_version}, {found.price_quality}" if found.price_quality else "no price"
