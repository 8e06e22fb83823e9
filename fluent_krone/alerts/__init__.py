"""Findings become alerts: identity, tag, and the words that an operator reads."""
