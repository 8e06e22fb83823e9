"""`python -m fluent_krone`: the command `fluent-krone`."""

from .cli import main

raise SystemExit(main())
