"""Checkpoints to figures."""
