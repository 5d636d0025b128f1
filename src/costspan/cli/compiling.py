"""`costspan budgets check` and `compile`: what the file says, and what is made of it for Prometheus and Alertmanager."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from costspan.alerting import compiled as files
from costspan.alerting import routes
from costspan.alerting.alert_texts import number as digits
from costspan.alerting.alert_texts import told, unit
from costspan.alerting.crossings import CROSSED_ALERT
from costspan.alerting.operator_objects import rule_objects
from costspan.alerting.unruled import unruled
from costspan.budgets import doubts, unstated
from costspan.budgets.policy import Policy, PolicyError
from costspan.budgets.receivers import receivers
from costspan.cli import budget_file, options
from costspan.facts.counting import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from costspan.budgets.policy import Budget
    from costspan.budgets.unstated import Called

_RECEIVERS = click.Path(path_type=Path, dir_okay=False)


@click.command()
@budget_file.argument
@click.option(
    "--receivers", "receivers_file", type=_RECEIVERS,
    help="Alertmanager's receivers: owners without one of their name are named.",
)  # fmt: skip
@options.prices
def check(file: Path, receivers_file: Path | None, overrides: Path | None) -> None:
    """Say every mistake in FILE, each with its line."""
    policy = budget_file.read(file)
    names = _receivers(receivers_file)[0] if receivers_file else ()
    count = len({budget.declared for budget in policy.budgets})
    click.echo(f"{file}: {number(count, 'budget')}, days and months of {policy.time_zone}")
    examples = reserved(policy, overrides)
    for budget in policy.budgets:
        click.echo(f"  {budget.name}: {_in_words(budget)}")
        if budget.name in examples:
            click.echo(f"    {examples[budget.name]}")
    _tell_unruled(policy)
    _tell_unreceived(policy, names, receivers_file)
    budget_file.tell(file, doubts.of_words(policy))


@click.command("compile")
@budget_file.argument
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder for the files.")
@click.option(
    "--receivers", "receivers_file", type=_RECEIVERS,
    help="Alertmanager's receivers: a whole alertmanager.yml is written with them.",
)  # fmt: skip
@click.option("--check", "is_check", is_flag=True, help="Write nothing; fail if a file is not up to date.")
def compile_file(file: Path, out: Path, receivers_file: Path | None, *, is_check: bool) -> None:
    """Make rules for Prometheus and routes from FILE."""
    policy = budget_file.read(file)
    made = files.compiled(policy, file.name)
    names: Sequence[str] = ()
    if receivers_file:
        names, content = _receivers(receivers_file)
        made[files.ALERTMANAGER] = files.with_receivers(policy, file.name, names, content)
    if is_check:
        stale = files.stale(made, out)
        budget_file.refuse([f"{out / path}: is not what {file} compiles to: compile again" for path in stale])
        click.echo(f"{number(len(made), 'file')} under {out} are up to date")
        return
    try:
        files.write(made, out)
    except OSError as fault:
        budget_file.refuse([f"{fault.filename or out}: cannot be written: {fault.strerror}; nothing was replaced"])
    for path in made:
        click.echo(str(out / path))
    click.echo("\n".join(["", *_next_steps(out, has_receivers=bool(receivers_file))]))
    _tell_unruled(policy)
    _tell_unreceived(policy, names, receivers_file)


def _labels(ctx: click.Context, param: click.Parameter, said: tuple[str, ...]) -> dict[str, str]:
    for label in said:
        if "=" not in label:
            raise click.BadParameter(f"{label!r}: expected NAME=VALUE", ctx, param)
    return dict(label.split("=", 1) for label in said)


@click.command("rules")
@budget_file.argument
@click.option("--namespace", default="costspan", show_default=True, help="The namespace of the objects.")
@click.option(
    "--label", "labels", multiple=True, callback=_labels, metavar="NAME=VALUE",
    help="A label by which the operator selects rules (`ruleSelector`).",
)  # fmt: skip
def rules(file: Path, namespace: str, labels: dict[str, str]) -> None:
    """Print the rules of FILE for Kubernetes.

    They are PrometheusRule objects, which the Prometheus operator reads.

    \b
    costspan budgets rules budgets.yaml --namespace monitoring --label release=main | kubectl apply --server-side -f -
    """  # noqa: D301 - \b is click's sign for "leave these lines as they are"
    policy = budget_file.read(file)
    click.echo(rule_objects(policy, file.name, namespace, labels), nl=False)
    _tell_unruled(policy)


def _in_words(budget: Budget) -> str:
    each = f" for each {budget.each}" if budget.each else ""
    refuses = f", refuses from {digits(budget.refuses_from)} {unit(budget)}" if budget.refuses_from is not None else ""
    owner = f", owner {budget.owner}" if budget.owner else ""
    return f"{told(budget)}{each}{refuses}{owner}"


def reserved(policy: Policy, overrides: Path | None, called: Called | None = None) -> dict[str, str]:
    """By hard budget, what it reserves for a call without a limit of output; the price table is read where there are such."""
    hard = [budget for budget in policy.budgets if budget.hard]
    found = unstated.examples(hard, options.load_prices(overrides), time.time(), called) if hard else ()
    return {example.budget.name: example.said for example in found}


def _receivers(file: Path) -> tuple[Sequence[str], str]:
    """The names of Alertmanager's receivers in the file, and what the file says."""
    try:
        content = file.read_text(encoding="utf-8")
        return receivers(content, str(file)), content
    except (OSError, UnicodeDecodeError, PolicyError) as fault:
        budget_file.refuse([str(fault)])
        raise


def _next_steps(out: Path, *, has_receivers: bool) -> Iterator[str]:
    yield "Test the rules:"
    yield f"  promtool test rules {shlex.quote(str(out / files.BUDGET_TESTS))}"
    yield f"Prometheus reads {out / files.BUDGET_RULES} and meter.yml where its configuration names them (rule_files: rules/*.yml)."
    yield "That of `costspan stack init` sees new rules by itself within 30 seconds; have another read them:"
    yield "  kill -HUP PID-OF-PROMETHEUS"
    if has_receivers:
        yield f"Have Alertmanager read {out / files.ALERTMANAGER}; that of `costspan stack init`, in its directory:"
        yield "  docker compose kill -s HUP alertmanager    (without docker: kill -HUP PID-OF-ALERTMANAGER)"
    else:
        yield f"Routes to copy for Alertmanager are in {out / files.ROUTES}. --receivers FILE writes its whole configuration."


def _tell_unruled(policy: Policy) -> None:
    """Name the budgets whose spend Prometheus does not see, with the reason, and who tells their thresholds."""
    for budget, reason in unruled(policy):
        who = f"; programs that obey the file tell its thresholds ({CROSSED_ALERT})" if budget.alerting else ""
        standing = "`costspan budgets status` says how it stands"
        click.echo(f"no rule for the spend of {budget.name}: {reason}{who}; {standing}", err=True)


def _tell_unreceived(policy: Policy, names: Sequence[str], file: Path | None) -> None:
    """Say once which owners are told by nobody but the receiver of all; without a file of receivers, how it is meant."""
    owned = {owner: budgets for owner, budgets in routes.owned(policy).items() if owner not in names}
    if owned and file is None:
        click.echo(
            f"owner {', '.join(owned)}: alerts go to Alertmanager's receiver of that name, or to `{routes.DEFAULT_RECEIVER}` where there is none; "
            "--receivers FILE names the receivers",
            err=True,
        )
        return
    for owner, budgets in owned.items():
        click.echo(
            f"{file}: no receiver is named {owner}: alerts of {', '.join(budgets)}, whose owner that is, go to `{routes.DEFAULT_RECEIVER}`",
            err=True,
        )
