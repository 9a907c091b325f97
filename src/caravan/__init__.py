"""Caravan: a file of contacts enters a journey, all at the same time."""

__version__ = "0.1.0"
