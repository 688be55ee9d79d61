"""Data sets, episodes drawn of them, augmentation."""
