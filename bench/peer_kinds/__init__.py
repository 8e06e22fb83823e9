"""Peers, the cases they are tried in, and how a case is run; see `bench/peers.py`."""
