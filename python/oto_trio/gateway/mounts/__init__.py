"""Applications in the worker's process that answer in a backend's place."""

from oto_trio.gateway.mounts.mounts import Mounts, MountSession

__all__ = ["MountSession", "Mounts"]
