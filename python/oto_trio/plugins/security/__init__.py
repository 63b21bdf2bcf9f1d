"""Plugins on what keeps messages and backends safe (Otoroshi's category Security)."""
