"""The dashboards as code: `python -m grafana.source` writes them, of names.py and of the series that the rules record."""
