"""The offline export: from a log to a bundle."""
