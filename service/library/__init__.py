"""Stored support sets in their database."""
