"""Whether the tokens and the cost that were recorded are the true ones."""
