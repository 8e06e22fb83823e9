"""A bundle that lives: learnt on the stream, fitted again, swapped and rolled back."""
