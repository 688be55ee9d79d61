"""Serving never needs it: a backbone taught by another."""
