"""The commands of ``sgone``, grouped by who uses them."""
