"""What this process has open, to see that nothing was left."""

from pathlib import Path

__all__ = ["open_sockets"]


def open_sockets() -> set[str]:
    """The sockets and readiness sets of this process, as the kernel names them (`socket:[123]`)."""
    names = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            name = str(descriptor.readlink())
        except FileNotFoundError:
            continue  # the descriptor that listed the folder
        if name.startswith(("socket:", "anon_inode:")):
            names.add(f"{descriptor.name} {name}")
    return names
