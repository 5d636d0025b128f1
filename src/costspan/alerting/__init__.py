"""From budgets to what alerts: Prometheus rules with their tests, Alertmanager routes, alerts about costspan itself."""
