"""Which records are kept, and what is added to them; pure, as `core` is.

`rules.py` tells kinds of execution apart and decides on a session that ended, `counts.py` counts
what was not kept, `entries.py` adds fields to packed records, and `annotation.py` adds to each
record what was read in it.
"""
