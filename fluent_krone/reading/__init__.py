"""From bytes or records to events: text, template, session keys and time.

Pure: nothing here reads a clock.
"""
