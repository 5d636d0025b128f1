"""What the alerts of a budget say: whose it is, what is spent, where that leads, what is dearest, where to look.

Texts are templates of Prometheus: amounts are asked of the recorded series whenever the alert is evaluated.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from costspan.alerting import literals
from costspan.alerting.periods import rules_of
from costspan.alerting.series import BUDGET_LABEL, BUDGET_PROJECTED, PERIOD_LABEL, SPENT_OF
from costspan.budgets.periods import Period
from costspan.budgets.policy import COUNTED_DIMENSIONS, REQUESTS, TOKENS, USD
from costspan.names import REQUEST_MODEL, SOURCE, TASK_TYPE, TEAM, prometheus_label

if TYPE_CHECKING:
    from costspan.alerting.series import Series
    from costspan.budgets.policy import Budget

#: Pages of Grafana, as grafana/source names them.
BUDGETS_PAGE: Final = "costspan-budgets"
USAGE_PAGE: Final = "costspan-usage"

_CAUSES: Final = tuple(prometheus_label(word) for word in (TEAM, TASK_TYPE, SOURCE, REQUEST_MODEL))
_MOST_CAUSES: Final = 3
_UNIT_WORDS: Final = {USD: "USD", TOKENS: "tokens", REQUESTS: "calls"}
_CENTS_FROM: Final = Decimal(1)


def number(value: Decimal) -> str:
    """A number as digits, without exponent and needless zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def told(budget: Budget) -> str:
    """The limit in words, e.g. `5 USD a day`."""
    return f"{number(budget.limit)} {unit(budget)} {budget.span.every}"


def each_label(budget: Budget) -> str:
    """The label of which every value has the limit for itself, or nothing."""
    return prometheus_label(COUNTED_DIMENSIONS[budget.each]) if budget.each else ""


def titled(budget: Budget) -> str:
    """The budget with its scope, e.g. `Budget night (team search)`."""
    return f"Budget {budget.name} ({scope(budget)})"


def scope(budget: Budget) -> str:
    """Which calls count, e.g. `team search, source task_agent or heartbeat`."""
    return _scope(budget, f"{word(budget.each)} {{{{ $labels.{each_label(budget)} }}}}" if budget.each else "")


def scope_of_any(budget: Budget) -> str:
    """The same where the alert does not say which value of `each` it is, e.g. `each account, team search`."""
    return _scope(budget, f"each {word(budget.each)}" if budget.each else "")


def _scope(budget: Budget, each: str) -> str:
    words = [
        f"{word(dimension)} {literals.as_template(' or '.join(values))}"
        for dimension, values in budget.scope.items()
        if dimension != budget.each
    ]
    return ", ".join([*([each] if each else []), *words]) or "all calls"


def current(budget: Budget) -> str:
    """The period that the alert is about, by its label: `202611`, `the month from 20261115`."""
    span, label = budget.span, f"{{{{ $labels.{PERIOD_LABEL} }}}}"
    prefix = span.prefix if isinstance(span, Period) else ""
    return f"the {span.noun} {prefix}{label}" if prefix else label


def spent(budget: Budget) -> str:
    """What is spent of the limit, and where the pace leads."""
    said = f"Spent: {_amount(budget, _of(budget, SPENT_OF[budget.unit]))} of {number(budget.limit)} {unit(budget)}."
    if not budget.limit:
        return said
    leads = _amount(budget, f"{_of(budget, BUDGET_PROJECTED)} * {number(budget.limit)}")
    return f"{said} At this pace: {leads} {unit(budget)} at the end of the {budget.span.noun}."


def dearest(budget: Budget, series: Series | None = None, **chosen: str) -> str:
    """What costs most of it: in the period so far, or in another series of spend."""
    if series is None:
        rules = rules_of(budget.period)
        series, chosen = rules.spent[budget.unit][0], {**rules.labels}
    inside = literals.selector(
        _plain(budget, series.name),
        *(_plain(budget, matcher) for matcher in (*scope_matchers(budget), *_equal(chosen))),
        *_of_this_one(budget),
    )
    causes = _query(budget, f"topk({_MOST_CAUSES}, sum by ({', '.join(_CAUSES)}) ({inside}) > 0)")
    words = " / ".join(f'{{{{ or $cause.Labels.{label} "unknown" }}}}' for label in _CAUSES)
    amount = f"{{{{ $cause.Value | printf {_form(budget)} }}}} {unit(budget)}"
    return (
        f"Dearest (team / task type / source / model): {{{{ range $place, $cause := {causes} }}}}"
        f"{{{{ if $place }}}}; {{{{ end }}}}{words}: {amount}{{{{ else }}}}nothing{{{{ end }}}}."
    )


def page(budget: Budget) -> str:
    """The page of Grafana that shows this spend: filtered where the scope can be, else that of the budgets."""
    chosen = [
        f"var-{dimension}={quote(value, safe='')}"
        for dimension, values in budget.scope.items()
        for value in values
        if dimension != budget.each
    ]
    if budget.each:
        chosen.append(f"var-{budget.each}={{{{ $labels.{each_label(budget)} | urlquery }}}}")
    if not chosen:
        return f"{BUDGETS_PAGE}?var-budget={quote(budget.name, safe='')}"
    return f"{USAGE_PAGE}?{'&'.join(chosen)}"


def scope_matchers(budget: Budget) -> list[str]:
    """The label matchers of a budget's scope, whoever of `each` it is."""
    return [
        literals.one_of(prometheus_label(COUNTED_DIMENSIONS[word]), values) for word, values in budget.scope.items()
    ]


def word(dimension: str) -> str:
    """A dimension as people write it: `task type`."""
    return dimension.replace("_", " ")


def unit(budget: Budget) -> str:
    """The word for what a budget counts."""
    return _UNIT_WORDS[budget.unit]


def _form(budget: Budget) -> str:
    """The form in which `printf` writes an amount: cents, of limits below a dollar hundredths of them."""
    if budget.unit != USD:
        return literals.quoted("%.0f")
    return literals.quoted("%.2f" if budget.limit >= _CENTS_FROM else "%.4f")


def _of(budget: Budget, series: Series) -> str:
    return literals.selector(series.name, literals.equals(BUDGET_LABEL, budget.name), *_of_this_one(budget))


def _equal(values: dict[str, str]) -> list[str]:
    return [literals.equals(label, value) for label, value in values.items()]


def _of_this_one(budget: Budget) -> list[str]:
    """The matcher of the value of `each` whose alert it is: `printf` fills it in."""
    return [f"{each_label(budget)}=%q"] if budget.each else []


def _plain(budget: Budget, text: str) -> str:
    """A text that goes through `printf` where there is something to fill in."""
    return text.replace("%", "%%") if budget.each else text


def _query(budget: Budget, expression: str) -> str:
    """The call that asks Prometheus, inside of a template."""
    if budget.each:
        return f"printf {literals.quoted(expression)} $labels.{each_label(budget)} | query"
    return f"query {literals.quoted(expression)}"


def _amount(budget: Budget, expression: str) -> str:
    asked = _query(budget, expression)
    return f"{{{{ with {asked} }}}}{{{{ . | first | value | printf {_form(budget)} }}}}{{{{ else }}}}?{{{{ end }}}}"
