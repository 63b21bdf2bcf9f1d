"""Plugins that let a call through or not (Otoroshi's category AccessControl)."""
