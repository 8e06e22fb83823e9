"""The stream as a whole: what time it is, where events come from, and how many come."""
