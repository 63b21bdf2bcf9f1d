"""Plugins of no other category (Otoroshi's category Other)."""
