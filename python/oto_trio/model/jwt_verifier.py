"""The JWT verifier: where a token is, whose key it has, what it must say, what the backend gets.

The three parts ``source``, ``algoSettings`` and ``strategy`` are objects whose ``type`` says which keys
they have; they are kept as JSON, completed with Otoroshi's defaults. The engine makes them ready
(``rust/oto-core/src/jwt``). A key that cannot be used does not make the document unreadable, as in
Otoroshi: the gateway reports it when it takes the entity over.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, cast

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.model.document import (
    EVERY_KEY,
    Document,
    JsonObject,
    ShortFormError,
    read_document,
    write_document,
)
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location

__all__ = [
    "JwtVerifier",
    "jwt_verifier_template",
    "read_jwt_verifier",
    "write_jwt_verifier",
]

SIZES: Final = (256, 384, 512)
"""Bits of the hash of a signature."""

_SOURCES: Final[dict[str, JsonObject]] = {
    "InQueryParam": {},
    "InHeader": {"remove": ""},
    "InCookie": {},
}

# Keys that may be left out, with what Otoroshi takes instead; the others are required.
_ALGORITHMS: Final[dict[str, tuple[tuple[str, ...], JsonObject]]] = {
    "HSAlgoSettings": (("size", "secret"), {"base64": False}),
    "RSAlgoSettings": (("size", "publicKey"), {"privateKey": None}),
    "ESAlgoSettings": (("size", "publicKey"), {"privateKey": None}),
    "JWKSAlgoSettings": (
        ("url",),
        {"timeout": 2000, "headers": {}, "ttl": 3_600_000, "kty": "RSA", "proxy": None},
    ),
    "RSAKPAlgoSettings": (("size", "certId"), {}),
    "ESKPAlgoSettings": (("size", "certId"), {}),
    "KidAlgoSettings": ((), {"onlyExposedCerts": False}),
}

_STRATEGIES: Final = ("PassThrough", "Sign", "Transform", "DefaultToken")


def _object(raw: object, key: str, path: str) -> JsonObject:
    """Take a value for an object.

    Raises:
        ShortFormError: It is none.
    """
    if not isinstance(raw, dict):
        raise ShortFormError(key, f"{path} is no object", f"write {path} as an object with a type")
    return cast("JsonObject", raw)


def _type_of(raw: JsonObject, known: tuple[str, ...], key: str, path: str) -> str:
    """Return the type of an object.

    Raises:
        ShortFormError: It has none of the known types.
    """
    found = raw.get("type")
    if found not in known:
        raise ShortFormError(
            key, f"{path}.type is missing or unknown", f"set it to one of {', '.join(known)}"
        )
    return cast("str", found)


def _source(value: object, key: str, path: str) -> JsonObject:
    """Complete a token location.

    Raises:
        ShortFormError: It is none.
    """
    raw = _object(value, key, path)
    kind = _type_of(raw, tuple(_SOURCES), key, path)
    if not isinstance(raw.get("name"), str):
        raise ShortFormError(
            key, f"{path}.name is no text", "set it to the name of the header, parameter or cookie"
        )
    return {"type": kind, "name": raw["name"], **_SOURCES[kind], **raw}


def _algorithm(value: object, key: str, path: str) -> JsonObject:
    """Complete algorithm settings.

    Raises:
        ShortFormError: They are none, or a required key is missing.
    """
    raw = _object(value, key, path)
    kind = _type_of(raw, tuple(_ALGORITHMS), key, path)
    required, defaults = _ALGORITHMS[kind]
    completed: JsonObject = {"type": kind}
    for name in required:
        if name not in raw:
            raise ShortFormError(key, f"{path}.{name} is missing", f"a {kind} needs {name}")
        completed[name] = raw[name]
    if "size" in required and raw["size"] not in SIZES:
        raise ShortFormError(key, f"{path}.size is unknown", "set it to 256, 384 or 512")
    given = {k: v for k, v in raw.items() if v is not None or defaults.get(k, "") is None}
    completed |= {name: given.get(name, default) for name, default in defaults.items()}
    if kind == "JWKSAlgoSettings":
        if not re.match(r"(?i)https?://[^/\s]", str(raw["url"])) and "${" not in str(raw["url"]):
            raise ShortFormError(
                key, f"{path}.url is no http or https URL", "write it like https://issuer.test/jwks"
            )
        # Two spellings of one thing; both are written, the newer one is believed.
        tls: Any = raw.get("tls_config") or raw.get("mtlsConfig") or dict(_NO_TLS)
        completed |= {"tls_config": tls, "mtlsConfig": tls}
    return completed | {k: v for k, v in raw.items() if k not in completed}


_NO_TLS: Final[JsonObject] = {
    "certs": [],
    "trustedCerts": [],
    "mtls": False,
    "loose": False,
    "trustAll": False,
}


def _strategy(value: object) -> JsonObject:
    """Complete a strategy.

    Raises:
        ShortFormError: It is none, or a part of it is missing.
    """
    key = "strategy"
    raw = _object(value, key, key)
    kind = _type_of(raw, _STRATEGIES, key, key)
    completed: JsonObject = {"type": kind}
    if kind == "DefaultToken":
        completed |= {"strict": raw.get("strict", True), "token": raw.get("token") or {}}
    settings = cast("JsonObject", raw.get("verificationSettings") or {})
    completed["verificationSettings"] = {
        "fields": settings.get("fields") or {},
        "arrayFields": settings.get("arrayFields") or {},
        **{k: v for k, v in settings.items() if v is not None},
    }
    if kind == "Transform":
        transform = _object(raw.get("transformSettings"), key, "strategy.transformSettings")
        mapping = cast("JsonObject", transform.get("mappingSettings") or {})
        completed["transformSettings"] = {
            **transform,
            "location": _source(
                transform.get("location"), key, "strategy.transformSettings.location"
            ),
            "mappingSettings": {
                **mapping,
                "map": mapping.get("map") or {},
                "values": mapping.get("values") or {},
                "remove": mapping.get("remove") or [],
            },
        }
    if kind in ("Sign", "Transform"):
        completed["algoSettings"] = _algorithm(
            raw.get("algoSettings"), key, "strategy.algoSettings"
        )
    return completed | {k: v for k, v in raw.items() if k not in completed}


class JwtVerifier(Document, frozen=True, kw_only=True):
    """A JWT verifier (``security.otoroshi.io/JwtVerifier``)."""

    strict_keys = EVERY_KEY

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    type: Annotated[str, Meta(description="always global")] = "global"
    id: Annotated[str, Meta(description="id of the verifier", min_length=1)]
    name: Annotated[str, Meta(description="name of the verifier")]
    desc: Annotated[str, Meta(description="what it is for")] = "--"
    strict: Annotated[bool, Meta(description="refuse requests without a token")] = False
    source: Annotated[
        JsonObject, Meta(description="where the token is: InHeader, InQueryParam or InCookie")
    ]
    algo_settings: Annotated[
        JsonObject, Meta(description="whose key the token has: HSAlgoSettings, RSAlgoSettings…")
    ] = msgspec.field(name="algoSettings")
    strategy: Annotated[
        JsonObject,
        Meta(description="what happens to it: PassThrough, Sign, Transform or DefaultToken"),
    ]
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()

    def __post_init__(self) -> None:
        """Complete the three parts.

        Raises:
            ValueError: One of them cannot be read.
        """
        try:
            parts = _completed(self.source, self.algo_settings, self.strategy)
        except ShortFormError as error:
            raise ValueError(error.message) from error
        for name, part in zip(("source", "algo_settings", "strategy"), parts, strict=True):
            msgspec.structs.force_setattr(self, name, part)

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Complete the three parts, so that what is wrong with one is said with its path."""
        keys = ("source", "algoSettings", "strategy")
        if not all(key in raw for key in keys):
            return raw
        parts = _completed(*(raw[key] for key in keys))
        return {**raw, **dict(zip(keys, parts, strict=True))}


def _completed(
    source: object, algorithm: object, strategy: object
) -> tuple[JsonObject, JsonObject, JsonObject]:
    """Complete the parts of a verifier.

    Raises:
        ShortFormError: One of them cannot be read.
    """
    return (
        _source(source, "source", "source"),
        _algorithm(algorithm, "algoSettings", "algoSettings"),
        _strategy(strategy),
    )


def read_jwt_verifier(raw: object) -> JwtVerifier:
    """Read a verifier from its decoded JSON document.

    Raises:
        EntityError: A required key is missing or wrong; lists every such key.
    """
    return read_document(JwtVerifier, raw)


def write_jwt_verifier(verifier: JwtVerifier) -> JsonObject:
    """Write a verifier as its JSON document, keys in Otoroshi's order."""
    return write_document(verifier)


def jwt_verifier_template() -> JwtVerifier:
    """Make the verifier that ``_template`` answers with."""
    return JwtVerifier(
        id=named_id("jwt_verifier"),
        name="New jwt verifier",
        desc="New jwt verifier",
        strict=True,
        source={"type": "InHeader", "name": "X-JWT-Token", "remove": ""},
        algo_settings={
            "type": "HSAlgoSettings",
            "size": 512,
            "secret": "secret",
            "base64": False,
        },
        strategy={
            "type": "PassThrough",
            "verificationSettings": {"fields": {}, "arrayFields": {}},
        },
    )
