"""The entities that the plugins' cases share: API keys, verifiers, certificates, and who shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import jwt
from cryptography import x509

from tests.conformance.tls.secure import authority
from tests.integration.plugins.api_keys import basic
from tests.unit.plugins.token_plans import certificate

__all__ = ["CLIENT", "ENTITIES", "KEY", "SECRET", "WRONG_KEY", "bearing", "shown", "subject_of"]

SECRET: Final = "a secret that is long enough for the library and then some"

KEY: Final = ("Otoroshi-Client-Id: good", "Otoroshi-Client-Secret: right")
"""Lines that show a key which may call everything."""

WRONG_KEY: Final = ("Otoroshi-Client-Id: good", "Otoroshi-Client-Secret: wrong")

OTHER_KEY: Final = ("Otoroshi-Client-Id: other", "Otoroshi-Client-Secret: right")
"""Lines that show a key without tags and metadata."""

CLIENT: Final = authority().create_child_ca().issue_cert("jo@a.test", common_name="jo")
"""What a client shows in a TLS handshake; an intermediate authority issued it."""


def shown() -> tuple[x509.Certificate, ...]:
    """Return what the client sends, its own certificate first, read without the engine."""
    return tuple(x509.load_pem_x509_certificate(pem.bytes()) for pem in CLIENT.cert_chain_pems)


def subject_of(one: x509.Certificate) -> str:
    """Return a subject as Otoroshi writes it: OU, O, CN."""
    kinds = (("OU", "2.5.4.11"), ("O", "2.5.4.10"), ("CN", "2.5.4.3"))
    parts = [
        f"{short}={value.value!s}"
        for short, oid in kinds
        for value in one.subject.get_attributes_for_oid(x509.ObjectIdentifier(oid))
    ]
    return ", ".join(parts)


def bearing(secret: str = SECRET, /, **claims: Any) -> str:
    """Return the line that shows a token, signed without the gateway's code.

    It is good for a day: the table of cases is made when tests are collected, long before they are played.
    """
    now = int(datetime.now(UTC).timestamp())
    token = jwt.encode({"iat": now, "exp": now + 86_400, **claims}, secret, "HS256")
    return f"Authorization: Bearer {token}"


def _key(client_id: str, **more: Any) -> dict[str, Any]:
    return {
        "clientId": client_id,
        "clientSecret": "right",
        "clientName": f"key {client_id}",
        "authorizedEntities": ["group_default"],
        **more,
    }


def _verifier(name: str, strategy: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "enabled": True,
        "strict": True,
        "source": {"type": "InHeader", "name": "Authorization", "remove": "Bearer "},
        "algoSettings": {"type": "HSAlgoSettings", "size": 256, "secret": SECRET},
        "strategy": strategy,
        **more,
    }


_ADMIN: Final = {"verificationSettings": {"fields": {"role": "Regex(adm.*)"}}}

ENTITIES: Final[dict[str, list[dict[str, Any]]]] = {
    "apikeys": [
        _key("good", tags=["gold", "eu"], metadata={"plan": "big", "paid": "yes"}, dailyQuota=1000),
        _key("half", tags=["eu"], metadata={"plan": "big"}),
        _key("other", metadata={"allowed-client-cert-dn": "CN=nobody"}),
        _key("off", enabled=False),
        _key("few", dailyQuota=2),
        _key("jo", metadata={"allowed-client-cert-dn": f"*{subject_of(shown()[0])}"}),
    ],
    "jwt-verifiers": [
        _verifier("admins", {"type": "PassThrough", **_ADMIN}),
        _verifier("users", {"type": "PassThrough", "verificationSettings": {}}),
        _verifier(
            "signer", {"type": "DefaultToken", "token": {"iss": "gate", "path": "${req.path}"}}
        ),
        _verifier(
            "mapped",
            {
                "type": "Transform",
                **_ADMIN,
                "transformSettings": {
                    "location": {"type": "InHeader", "name": "X-Token", "remove": ""},
                    "mappingSettings": {
                        "map": {"sub": "subject"},
                        "values": {"from": "${in_jwt.sub}"},
                        "remove": ["hidden"],
                    },
                },
                "algoSettings": {"type": "HSAlgoSettings", "size": 512, "secret": SECRET * 2},
            },
        ),
    ],
    "certificates": [
        {**certificate("rsa"), "name": "rsa", "domain": "rsa.invalid", "exposed": True},
        {**certificate("ec"), "name": "ec", "domain": "ec.invalid", "keypair": True},
    ],
}
"""What the gateway under test declares, besides the routes."""

BASIC: Final = f"Authorization: Basic {basic('good', 'right')}"
"""The line that shows the good key as a browser does."""
