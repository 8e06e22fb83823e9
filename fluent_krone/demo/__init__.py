"""A simulated storage cluster with injected faults, and the demonstration that finds them live."""
