"""The page that shows alerts in a browser."""
