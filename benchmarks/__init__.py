"""What Costspan costs, and whether its figures are right, measured beside its peers. README.md tells how to run it."""
