"""Plugins that change messages (Otoroshi's category Transformations)."""
