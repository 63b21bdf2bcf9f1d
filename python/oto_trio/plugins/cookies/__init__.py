"""Plugins on cookies (Otoroshi's category Cookies)."""
