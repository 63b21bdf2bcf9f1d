"""OAuthProtectedResourceMetadata."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugin_api.registry import builtin_plugins
from tests.unit.plugins.token_plans import NG, NOW, Sent, certificate_row, private_key, send

NAME = "OAuthProtectedResourceMetadata"
BOOLEANS = {
    "tls_client_certificate_bound_access_tokens": False,
    "dpop_bound_access_tokens_required": False,
}


def served(config: dict[str, Any], **more: Any) -> Sent:
    sent = send(NAME, config, **more)
    assert sent.status == 200
    assert sent.fields["content-type"] == "application/json"
    assert sent.fields["cache-control"] == "public, max-age=3600"
    return sent


def test_the_default_document_is_about_the_requests_address() -> None:
    default = {"bearer_methods_supported": ["header"], **BOOLEANS}
    assert served({}).json == {"resource": "http://a.test/", **default}
    assert served({}, secured=True).json == {"resource": "https://a.test/", **default}


def test_members_are_told_and_more_are_laid_over_them() -> None:
    config = {
        "resource": "https://r.test/api",
        "authorization_servers_override": ["https://as.test"],
        "jwks_uri": "https://r.test/jwks",
        "scopes_supported": ["read"],
        "bearer_methods_supported": [],
        "resource_name": "",
        "dpop_bound_access_tokens_required": True,
        "extra_metadata": {"jwks_uri": "https://other.test", "x": {"y": [1]}},
        "signed_metadata": True,
    }
    assert served(config).json == {
        "resource": "https://r.test/api",
        "authorization_servers": ["https://as.test"],
        "jwks_uri": "https://other.test",
        "scopes_supported": ["read"],
        "x": {"y": [1]},
        **BOOLEANS,
        "dpop_bound_access_tokens_required": True,
    }


@pytest.mark.parametrize(("name", "algorithm"), [("rsa", "RS256"), ("ec", "ES256")])
def test_it_is_signed_with_a_certificates_key(name: str, algorithm: str) -> None:
    config = {"signed_metadata": True, "signing_cert_ref": name, "signing_alg": algorithm}
    document = served(config, entities=(certificate_row(name),)).json
    signed = document.pop("signed_metadata")
    assert jwt.get_unverified_header(signed) == {"alg": algorithm, "typ": "JWT", "kid": name}
    key = private_key(name).public_key()
    claims = jwt.decode(signed, key, [algorithm], options={"verify_iat": False})
    assert claims == {**document, "iss": "http://a.test/", "sub": "http://a.test/", "iat": NOW}


def test_its_key_id_may_be_another() -> None:
    config = {"signed_metadata": True, "signing_cert_ref": "rsa", "signed_metadata_kid": "k"}
    signed = served(config, entities=(certificate_row("rsa"),)).json["signed_metadata"]
    assert jwt.get_unverified_header(signed)["kid"] == "k"


@pytest.mark.parametrize(
    ("algorithm", "parts"),
    [("ES256", {}), ("RS256", {"privateKey": ""}), ("RS256", {"revoked": True})],
)
def test_what_cannot_be_signed_is_served_unsigned(algorithm: str, parts: dict[str, Any]) -> None:
    config = {"signed_metadata": True, "signing_cert_ref": "rsa", "signing_alg": algorithm}
    document = served(config, entities=(certificate_row("rsa", **parts),)).json
    assert "signed_metadata" not in document


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(PluginError, match="signing_alg"):
        builtin_plugins().read_config(NG + NAME, {"signing_alg": "none"})
