"""The network on its device, and the queue in front of it."""
