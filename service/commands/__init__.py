"""The commands of ``sgone``, each in the room of who uses it."""
