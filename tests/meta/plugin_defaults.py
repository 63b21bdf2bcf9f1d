"""What Otoroshi's default configs have in common."""

from typing import Any, Final

__all__ = ["APIKEY_CALLS", "CALLER", "COOKIE", "HS512", "PLACES", "QUOTA"]

COOKIE: Final[dict[str, Any]] = {
    "name": "cookie",
    "value": "value",
    "domain": None,
    "path": None,
    "maxAge": None,
    "secure": False,
    "httpOnly": False,
    "sameSite": None,
}
PLACES: Final[dict[str, Any]] = {
    "enabled": True,
    "header_name": None,
    "query_name": None,
    "cookie_name": None,
    "path_name": None,
}
APIKEY_CALLS: Final[dict[str, Any]] = {
    "extractors": {
        "basic": PLACES,
        "custom_headers": {
            "enabled": True,
            "client_id_header_name": None,
            "client_secret_header_name": None,
        },
        "client_id": PLACES,
        "jwt": {
            **PLACES,
            "secret_signed": True,
            "keypair_signed": True,
            "include_request_attrs": False,
            "max_jwt_lifespan_sec": None,
        },
        "oto_bearer": PLACES,
    },
    "routing": {"enabled": False},
    "validate": True,
    "mandatory": True,
    "pass_with_user": False,
    "wipe_backend_request": True,
    "update_quotas": True,
}

HS512: Final[dict[str, Any]] = {
    "type": "HSAlgoSettings",
    "size": 512,
    "secret": "secret",
    "base64": False,
}

QUOTA: Final[dict[str, Any]] = {"window": 10000000, "daily": 10000000, "monthly": 10000000}
CALLER: Final[dict[str, Any]] = {
    "per_route": True,
    "global": False,
    "group": None,
    "expression": "${req.ip}",
}
