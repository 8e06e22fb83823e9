"""The commands of `fluent-krone`, a module each."""
