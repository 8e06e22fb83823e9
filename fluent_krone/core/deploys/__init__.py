"""Deploys: steps that the bundle does not know, are gone, or come in a new order."""
