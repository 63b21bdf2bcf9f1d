"""Plugins on header fields (Otoroshi's category Headers)."""
