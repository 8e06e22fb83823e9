"""What bench/kafka.py measures, a module each."""
