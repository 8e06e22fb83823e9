"""The parts of `bench/faults.py`: one module for each kind of fault."""
