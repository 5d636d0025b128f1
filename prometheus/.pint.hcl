# What pint (https://cloudflare.github.io/pint/) is told of the rules: pint -c prometheus/.pint.hcl -o lint prometheus/rules
# Each exception with its reason; everything else is checked.

# Groups are evaluated side by side, so that the local time may be one evaluation old. It decides the number of days in a
# month, and that is in a burn rate alone: for one evaluation of a month it may be off by a tenth at most.
rule {
  match {
    kind = "recording"
    name = "llm:budget_burn:ratio|llm:spend_usd:usual1h"
  }
  disable = ["rule/dependency"]
}

# These two ask for a count within the past quarter or half hour that samples of a whole day stand behind: a restart of
# Prometheus takes none of it away.
rule {
  match {
    kind = "alerting"
    name = "LlmRateLimitsHit|LlmTimeZoneMismatch"
  }
  disable = ["promql/fragile"]
}

# The ratio that could be no number is compared with a threshold here, and divides nothing.
rule {
  match {
    kind = "alerting"
    name = "LlmTimeZoneMismatch"
  }
  disable = ["promql/nan"]
}
