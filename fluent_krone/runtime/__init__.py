"""The running service: chunks come in, a commit makes them final, alerts leave.

A chunk's journey crosses one module after the other, and each knows only the later ones:
`intake` → `judge` → `committer` → `storage` → `outbox`. `service` starts and stops them, `wiring`
builds them from parameters, `endpoints` builds the endpoints, `metrics` shows the figures.
"""
