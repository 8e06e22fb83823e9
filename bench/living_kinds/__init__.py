"""The parts of `bench/living.py`."""
