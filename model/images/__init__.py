"""Image files and what they show: the one way in which photographs and masks are opened."""
