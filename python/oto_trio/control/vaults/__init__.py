"""Secrets that entities refer to, ``${vault://name/path}``: where they are read, kept and put in place.

`base` says what a provider is, and each provider has a file; `instances` makes them of the settings,
`references` finds references in documents and replaces them, `secrets` keeps what was read.
"""

from oto_trio.control.vaults.base import SecretError, SecretProvider
from oto_trio.control.vaults.instances import make_providers, vault_problems, vaults_of
from oto_trio.control.vaults.secrets import Subscription, VaultBounds, Vaults

__all__ = [
    "SecretError",
    "SecretProvider",
    "Subscription",
    "VaultBounds",
    "Vaults",
    "make_providers",
    "vault_problems",
    "vaults_of",
]
