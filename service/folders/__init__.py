"""``sgone segment``: whole folders, here or against a service."""
