"""A simulated shop of micro-services: what it does, what goes wrong in it, how its logs look."""
