"""fluent-krone: finds the executions that went wrong in a Fluentd log stream."""

__version__ = "0.1.0"
