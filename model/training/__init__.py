"""Episodes to checkpoints."""
