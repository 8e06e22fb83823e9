"""The report card of a bundle: its figures, its warnings, and its page."""
