"""The dashboards as code: `python -m grafana.source` writes grafana/dashboards from names.py and the compiled budgets."""
