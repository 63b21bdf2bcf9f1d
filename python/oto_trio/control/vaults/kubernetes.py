"""Secrets of a Kubernetes cluster: ``${vault://kube/NAMESPACE/SECRET/KEY}``."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec
import trio

from oto_trio.control.vaults.base import SecretError, at_pointer
from oto_trio.control.vaults.calls import Caller, check_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["KubernetesProvider", "KubernetesSettings"]

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds the token of its service account, and the cluster's authority."""


class KubernetesSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An instance of type ``kubernetes``, as the settings have it: of a KubernetesConfig what a call needs.

    What is not given is that of the pod the gateway runs in.
    """

    endpoint: str | None = None
    token: str | None = None
    ca_cert: str | None = None

    def __post_init__(self) -> None:
        """Check the address.

        Raises:
            ValueError: It is no http or https URL.
        """
        if self.endpoint is not None:
            check_url(self.endpoint, "endpoint")


class KubernetesProvider:
    """Asks the API server of a cluster.

    Args:
        settings: Its settings.
        environ: The environment variables, which tell a pod where its cluster is.
        account: The folder of the pod's service account.
    """

    is_near = False

    def __init__(
        self, settings: KubernetesSettings, environ: Mapping[str, str], account: Path = ACCOUNT
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._account = account
        self._caller: Caller | None = None

    async def read(self, path: Sequence[str], options: Mapping[str, str]) -> str:
        """Read a key of a secret; see `SecretProvider.read`. There are no options."""
        del options
        if len(path) != 3:
            raise SecretError("bad-secret-path", "name a namespace, a secret and a key of it")
        namespace, name, key = path
        if self._caller is None:
            authority = self._settings.ca_cert or await self._of_account("ca.crt")
            self._caller = Caller(authority)
        # Read each time: the cluster renews it.
        token = self._settings.token or await self._of_account("token")
        answer = await self._caller.call(
            f"{self._endpoint()}/api/v1/namespaces/{quote(namespace, safe='')}"
            f"/secrets/{quote(name, safe='')}",
            headers={} if token is None else {"Authorization": f"Bearer {token.strip()}"},
        )
        encoded = at_pointer(answer.json(), ("data", key))
        try:
            return base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, ValueError):
            raise SecretError("secret-read-error", "the value is no text in base64") from None

    def _endpoint(self) -> str:
        """Return where the API server is.

        Raises:
            SecretError: Nobody says it.
        """
        if self._settings.endpoint is not None:
            return self._settings.endpoint.rstrip("/")
        host = self._environ.get("KUBERNETES_SERVICE_HOST")
        if not host:
            reason = "this is no pod; give the vault an endpoint and a token"
            raise SecretError("secret-read-error", reason, is_down=True)
        shown = f"[{host}]" if ":" in host else host
        return f"https://{shown}:{self._environ.get('KUBERNETES_SERVICE_PORT', '443')}"

    async def _of_account(self, name: str) -> str | None:
        """Return a file of the pod's service account, None when there is none."""
        try:
            return await trio.Path(self._account / name).read_text()
        except OSError:
            return None
