"""The live page: what an operator sees of the running service, and may change, in a browser."""
