"""Verifiers are read as Otoroshi writes them, completed, and written back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from oto_trio._core import JwtVerifier as Engine
from oto_trio.model.errors import EntityError
from oto_trio.model.jwt_verifier import (
    jwt_verifier_template,
    read_jwt_verifier,
    write_jwt_verifier,
)


def document(**parts: Any) -> dict[str, Any]:
    return {
        "id": "v",
        "name": "n",
        "source": {"type": "InHeader", "name": "X-JWT-Token"},
        "algoSettings": {"type": "HSAlgoSettings", "size": 256, "secret": "s"},
        "strategy": {"type": "PassThrough"},
        **parts,
    }


def written(**parts: Any) -> dict[str, Any]:
    return write_jwt_verifier(read_jwt_verifier(document(**parts)))


def test_a_short_document_is_completed() -> None:
    assert written() == {
        "_loc": {"tenant": "default", "teams": ["default"]},
        "type": "global",
        "id": "v",
        "name": "n",
        "desc": "--",
        "strict": False,
        "source": {"type": "InHeader", "name": "X-JWT-Token", "remove": ""},
        "algoSettings": {"type": "HSAlgoSettings", "size": 256, "secret": "s", "base64": False},
        "strategy": {
            "type": "PassThrough",
            "verificationSettings": {"fields": {}, "arrayFields": {}},
        },
        "metadata": {},
        "tags": [],
    }


def test_what_is_written_is_read_again_as_it_is() -> None:
    transform = {
        "type": "Transform",
        "verificationSettings": {"fields": {"iss": "x"}},
        "transformSettings": {"location": {"type": "InCookie", "name": "c"}},
        "algoSettings": {"type": "RSAKPAlgoSettings", "size": 512, "certId": "c"},
    }
    once = written(strategy=transform, newer={"a": 1}, strict=True)
    assert once["newer"] == {"a": 1}
    assert once["strategy"]["transformSettings"]["mappingSettings"] == {
        "map": {},
        "values": {},
        "remove": [],
    }
    assert write_jwt_verifier(read_jwt_verifier(once)) == once


def test_both_spellings_of_the_tls_settings_are_written() -> None:
    tls: dict[str, Any] = {"certs": [], "mtls": True, "trustAll": True}
    for key in ("tls_config", "mtlsConfig"):
        settings: dict[str, Any] = {"type": "JWKSAlgoSettings", "url": "https://x", key: tls}
        read = written(algoSettings=settings)["algoSettings"]
        assert read["tls_config"] == read["mtlsConfig"] == tls
        assert (read["timeout"], read["ttl"], read["kty"]) == (2000, 3_600_000, "RSA")


def test_default_tokens_are_strict_unless_told() -> None:
    strategy = written(strategy={"type": "DefaultToken"})["strategy"]
    assert (strategy["strict"], strategy["token"]) == (True, {})


@pytest.mark.parametrize(
    ("part", "value", "path"),
    [
        ("source", {"type": "InBody", "name": "x"}, "source.type"),
        ("source", {"type": "InCookie"}, "source.name"),
        ("source", "X", "source"),
        ("algoSettings", {"type": "HSAlgoSettings", "size": 256}, "algoSettings.secret"),
        ("algoSettings", {"type": "HSAlgoSettings", "size": 1, "secret": "s"}, "algoSettings.size"),
        ("algoSettings", {}, "algoSettings.type"),
        ("algoSettings", {"type": "JWKSAlgoSettings", "url": "foo"}, "algoSettings.url"),
        ("algoSettings", {"type": "JWKSAlgoSettings", "url": "file:///x"}, "algoSettings.url"),
        ("strategy", {"type": "Odd"}, "strategy.type"),
        ("strategy", {"type": "Sign"}, "strategy.algoSettings"),
        ("strategy", {"type": "Transform"}, "strategy.transformSettings"),
    ],
)
def test_a_part_that_cannot_be_read_is_named(part: str, value: object, path: str) -> None:
    with pytest.raises(EntityError) as caught:
        read_jwt_verifier(document(**{part: value}))
    assert path in str(caught.value)


def test_the_engine_reads_the_template() -> None:
    template = write_jwt_verifier(jwt_verifier_template())
    assert template["strict"] is True
    assert template["source"]["name"] == "X-JWT-Token"
    assert template["algoSettings"]["size"] == 512
    Engine.check(msgspec.json.encode(template))
    template["algoSettings"]["secret"] = ""
    with pytest.raises(ValueError, match=r"algoSettings\.secret"):
        Engine.check(msgspec.json.encode(template))
