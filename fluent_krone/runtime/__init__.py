"""The running process: intake, commits, store, metrics, reload. The only room with clocks and tasks."""
