"""Bytes to images and masks, and back."""
