"""Auth modules of every kind in Otoroshi's JSON."""

from __future__ import annotations

from typing import Any

import pytest

from oto_trio.model.auth_module import AUTH_KINDS, AuthModule, auth_module_template
from oto_trio.model.document import inspect_document, read_document, write_document
from oto_trio.model.errors import EntityError

COMMON: list[tuple[str, Any]] = [
    ("_loc", {"tenant": "default", "teams": ["default"]}),
    ("type", "basic"),
    ("id", "a1"),
    ("name", "one"),
    ("desc", "--"),
    ("clientSideSessionEnabled", True),
    ("sessionMaxAge", 86400),
    ("metadata", {}),
    ("tags", []),
    ("sessionCookieValues", {"httpOnly": True, "secure": True}),
    ("userValidators", []),
    ("remoteValidators", []),
    ("allowedUsers", []),
    ("deniedUsers", []),
]
LDAP = {
    "searchBase": "dc=example,dc=com",
    "searchFilter": "(mail=${username})",
    "nameField": "cn",
    "emailField": "mail",
}
OAUTH1 = {
    "consumerKey": "k",
    "consumerSecret": "s",
    "requestTokenURL": "https://p/request",
    "authorizeURL": "https://p/authorize",
    "accessTokenURL": "https://p/access",
}
SAML: dict[str, Any] = {
    "singleSignOnUrl": "https://p/sso",
    "credentials": {},
    "issuer": "me",
    "validateSignature": True,
    "validateAssertions": True,
    "signature": {},
}
NEEDED: dict[str, dict[str, Any]] = {"ldap": LDAP, "oauth1": OAUTH1, "saml": SAML}


def written(kind: str, **keys: Any) -> dict[str, Any]:
    """The document that comes of a bare module of a kind with these keys."""
    raw = {"type": kind, "id": "a1", "name": "one", **NEEDED.get(kind, {}), **keys}
    return write_document(read_document(AuthModule, raw))


def own_keys(kind: str) -> dict[str, Any]:
    """What a bare module of a kind has beside the keys of all."""
    common = {key for key, _ in COMMON}
    return {key: value for key, value in written(kind).items() if key not in common}


def test_a_bare_module_is_written_with_the_defaults_of_all_kinds() -> None:
    assert list(written("basic").items())[: len(COMMON)] == COMMON
    for kind in AUTH_KINDS:
        shown = written(kind)
        for key, value in COMMON[2:]:
            assert shown[key] == value, (kind, key)


def test_a_module_with_its_own_users() -> None:
    assert own_keys("basic") == {"basicAuth": False, "webauthn": False, "users": []}
    users = [{"name": "Ada", "password": "$2a$10$x", "email": "ada@localhost"}]
    assert written("basic", users=users)["users"] == [
        {
            **users[0],
            "metadata": {},
            "tags": [],
            "webauthn": None,
            "rights": [],
            "adminEntityValidators": {},
        }
    ]


def test_a_directory() -> None:
    assert own_keys("ldap") == {
        "basicAuth": False,
        "allowEmptyPassword": False,
        "serverUrls": [],
        "searchBase": "dc=example,dc=com",
        "userBase": None,
        "groupFilters": [],
        "searchFilter": "(mail=${username})",
        "adminUsername": None,
        "adminPassword": None,
        "nameField": "cn",
        "emailField": "mail",
        "metadataField": None,
        "extraMetadata": {},
        "superAdmins": False,
        "extractProfile": False,
        "extractProfileFilter": [],
        "extractProfileFilterNot": [],
        "rightsOverride": {},
        "dataOverride": {},
        "groupRights": {},
        "adminEntityValidatorsOverride": {},
    }


def test_a_provider_of_oauth_2() -> None:
    assert own_keys("oauth2") == {
        "clientId": "client",
        "clientSecret": "secret",
        "authorizeUrl": "http://localhost:8082/oauth/authorize",
        "tokenUrl": "http://localhost:8082/oauth/token",
        "userInfoUrl": "http://localhost:8082/userinfo",
        "introspectionUrl": "http://localhost:8082/token/introspect",
        "loginUrl": "http://localhost:8082/login",
        "logoutUrl": "http://localhost:8082/logout",
        "scope": "openid profile email name",
        "claims": "email name",
        "useCookie": False,
        "useJson": False,
        "pkce": None,
        "noWildcardRedirectURI": False,
        "readProfileFromToken": False,
        "accessTokenField": "access_token",
        "jwtVerifier": None,
        "nameField": "name",
        "emailField": "email",
        "apiKeyMetaField": "apkMeta",
        "apiKeyTagsField": "apkTags",
        "otoroshiDataField": "app_metadata | otoroshi_data",
        "callbackUrl": "http://privateapps.oto.tools:8080/privateapps/generic/callback",
        "oidConfig": None,
        "mtlsConfig": {
            "certs": [],
            "trustedCerts": [],
            "mtls": False,
            "loose": False,
            "trustAll": False,
        },
        "proxy": None,
        "extraMetadata": {},
        "refreshTokens": False,
        "superAdmins": True,
        "rightsOverride": {},
        "dataOverride": {},
        "otoroshiRightsField": "otoroshi_rights",
        "adminEntityValidatorsOverride": {},
    }
    assert written("oauth2", pkce={"enabled": True})["pkce"] == {
        "enabled": True,
        "algorithm": "S256",
    }


def test_a_provider_of_oauth_1() -> None:
    assert own_keys("oauth1") == {
        **OAUTH1,
        "profileURL": "https://api.clever-cloud.com/v2/self",
        "callbackURL": "http://privateapps.oto.tools:8080/privateapps/generic/callback",
        "httpMethod": "get",
        "rightsOverride": {},
        "adminEntityValidatorsOverride": {},
    }


def test_a_provider_of_saml() -> None:
    key = {
        "certificate": None,
        "privateKey": None,
        "certId": None,
        "useOtoroshiCertificate": False,
    }
    assert own_keys("saml") == {
        "singleSignOnUrl": "https://p/sso",
        "singleLogoutUrl": None,
        "credentials": {
            "signingKey": key,
            "encryptionKey": key,
            "signedDocuments": False,
            "encryptedAssertions": False,
        },
        "extraMetadata": {},
        "issuer": "me",
        "validatingCertificates": [],
        "validateSignature": True,
        "validateAssertions": True,
        "signature": {"algorithm": "rsa_sha256", "canocalizationMethod": "exclusive"},
        "nameIDFormat": "transient",
        "ssoProtocolBinding": "redirect",
        "singleLogoutProtocolBinding": "redirect",
        "usedNameIDAsEmail": True,
        "emailAttributeName": None,
        "adminEntityValidatorsOverride": {},
    }


def test_a_plugin_and_a_workflow_that_know_the_users() -> None:
    assert own_keys("wasm") == {"wasmRef": None}
    assert own_keys("workflow") == {"workflowRef": None}


def test_the_older_name_of_oauth_2_is_read() -> None:
    shown = written("oauth2-global", clientId="mine")
    assert (shown["type"], shown["clientId"]) == ("oauth2", "mine")


def test_one_server_and_one_filter_of_a_directory_are_read() -> None:
    place = {"tenant": "shop", "teams": ["a", "b"]}
    shown = written("ldap", _loc=place, serverUrl="ldap://d", groupFilter="ou=staff")
    assert shown["serverUrls"] == ["ldap://d"]
    assert shown["groupFilters"] == [
        {"group": "ou=staff", "team": "a", "tenant": "shop"},
        {"group": "ou=staff", "team": "b", "tenant": "shop"},
    ]
    assert "serverUrl" not in shown
    assert "groupFilter" not in shown
    newer = written("ldap", serverUrl="ldap://old", serverUrls=["ldap://new"])
    assert newer["serverUrls"] == ["ldap://new"]


def test_bindings_and_formats_of_saml_are_read_by_their_other_names() -> None:
    shown = written(
        "saml",
        nameIDFormat="of-tomorrow",
        ssoProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST",
        singleLogoutProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect",
    )
    assert shown["nameIDFormat"] == "unspecified"
    assert shown["ssoProtocolBinding"] == "post"
    assert shown["singleLogoutProtocolBinding"] == "redirect"


def test_the_older_words_for_tls_are_read() -> None:
    shown = written("oauth2", mtlsConfig={"certId": "c", "tls": True})["mtlsConfig"]
    assert (shown["certs"], shown["mtls"]) == (["c"], True)
    assert not {"certId", "tls"} & shown.keys()


def test_the_tenant_of_a_saml_module_is_kept() -> None:
    assert written("saml", _loc={"tenant": "shop"})["_loc"]["tenant"] == "shop"


@pytest.mark.parametrize(
    ("kind", "keys", "path"),
    [
        ("auth0", {}, "$.type"),
        ("basic", {"allowedUsers": "ada"}, "$.allowedUsers"),
        ("basic", {"sessionCookieValues": {"secure": "no"}}, "$.sessionCookieValues.secure"),
        ("basic", {"users": [{"name": "Ada", "email": "a"}]}, "$.users[0].password"),
        ("ldap", {"allowEmptyPassword": "never"}, "$.allowEmptyPassword"),
        ("ldap", {"searchFilter": None}, "$.searchFilter"),
        ("oauth2", {"superAdmins": "no"}, "$.superAdmins"),
        ("oauth1", {"httpMethod": "put"}, "$.httpMethod"),
        ("saml", {"signature": {"algorithm": "md5"}}, "$.signature.algorithm"),
        ("saml", {"validateSignature": None}, "$.validateSignature"),
    ],
)
def test_what_would_let_more_people_in_is_an_error(
    kind: str, keys: dict[str, Any], path: str
) -> None:
    with pytest.raises(EntityError) as caught:
        written(kind, **keys)
    assert [p.path for p in caught.value.problems] == [path]


def test_a_kind_that_nobody_knows_is_answered_with_the_kinds() -> None:
    with pytest.raises(EntityError, match="'basic', 'ldap', 'oauth2'"):
        written("auth0")


@pytest.mark.parametrize("kind", list(AUTH_KINDS))
def test_keys_of_tomorrow_survive(kind: str) -> None:
    assert written(kind, tomorrow={"a": 1})["tomorrow"] == {"a": 1}


@pytest.mark.parametrize("kind", [*AUTH_KINDS, "of-tomorrow"])
def test_the_template_of_a_kind(kind: str) -> None:
    template = auth_module_template(kind, env="dev")
    expected = {"oauth2-global": "oauth2", "of-tomorrow": "basic"}.get(kind, kind)
    assert (template.type, template.name, template.desc) == (
        expected,
        "New auth. module",
        "New auth. module",
    )
    assert template.id.startswith("auth_mod_dev_")
    assert inspect_document(AuthModule, write_document(template)) == (template, [])
