"""The pictures on the documentation's site, each made by a command from what it shows. `scripts/make_site.py` makes them all."""
