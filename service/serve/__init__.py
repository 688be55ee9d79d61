"""The process: address, workers, an orderly end."""
