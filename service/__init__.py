"""The REST service around the network."""
