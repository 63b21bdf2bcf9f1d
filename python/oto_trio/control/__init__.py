"""The control plane: the store of entities, the admin API, and the credentials that guard it."""
