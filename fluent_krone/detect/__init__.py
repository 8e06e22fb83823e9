"""Bundles, and the detectors and witnesses that they hold."""
