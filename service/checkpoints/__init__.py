"""Checkpoint files: which names they are served under, and where they lie."""
