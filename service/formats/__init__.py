"""Masks of many photographs as the files that other tools read."""
