"""moto as a server: services of AWS that check signatures and rights."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["AwsServer"]

_MOTO = """
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print(server.port, flush=True)
server.serve_forever()
"""

MAKING_SOMEBODY = 3
"""Calls that make a user with rights."""


class AwsServer:
    """A server, and the keys of somebody who may use one of its services.

    Args:
        folder: Where its log goes.
        service: The service, such as ``s3``.
        calls: How many calls of `client` set it up; each one after them is checked.
    """

    def __init__(self, folder: Path, service: str, calls: int) -> None:
        self._log = (folder / "moto.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-c", _MOTO],
            env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(MAKING_SOMEBODY + calls)},
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        assert self._process.stdout is not None
        port = int(self._process.stdout.readline())
        self.endpoint = f"http://127.0.0.1:{port}"
        people = self.client("iam")
        people.create_user(UserName="oto")
        key = people.create_access_key(UserName="oto")["AccessKey"]
        right = {"Effect": "Allow", "Action": f"{service}:*", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [right]})
        people.put_user_policy(UserName="oto", PolicyName="all", PolicyDocument=policy)
        self.access: str = key["AccessKeyId"]
        self.secret: str = key["SecretAccessKey"]

    def client(self, service: str) -> Any:
        """Return AWS' own client of a service, for setting it up."""
        # Slow to import, and without types.
        boto3: Any = importlib.import_module("boto3")
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="eu-west-1",
            aws_access_key_id="first",
            aws_secret_access_key="first",
        )

    def stop(self) -> None:
        """End the server."""
        self._process.kill()
        self._process.wait()
        self._log.close()
        assert self._process.stdout is not None
        self._process.stdout.close()
