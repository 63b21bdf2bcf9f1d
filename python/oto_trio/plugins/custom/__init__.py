"""Plugins of no other kind (Otoroshi's category Custom)."""
