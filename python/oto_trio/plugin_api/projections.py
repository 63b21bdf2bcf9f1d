"""Projections of JSON documents in configs."""

from oto_trio.jq import projected
from oto_trio.model.projection import blueprint_faults, project

__all__ = ["blueprint_faults", "project", "projected"]
