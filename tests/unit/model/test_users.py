"""Simple administrators, and the sessions of users, in Otoroshi's JSON."""

from __future__ import annotations

from typing import Any

import bcrypt
import pytest

from oto_trio.model.admin_session import AdminSession
from oto_trio.model.auth_module_user import AuthModuleUser
from oto_trio.model.document import Document, inspect_document, read_document, write_document
from oto_trio.model.errors import EntityError
from oto_trio.model.simple_admin import SimpleAdmin, simple_admin_template

HERE = {"tenant": "default", "teams": ["default"]}
ALL = [{"tenant": "*:rw", "teams": ["*:rw"]}]
HASH = bcrypt.hashpw(b"s3cret", bcrypt.gensalt(4)).decode()
ADMIN = {"username": "a@b.c", "password": HASH, "label": "A"}
SESSION = {"randomId": "s1", "name": "A", "email": "a@b.c"}
USER = {
    **SESSION,
    "authConfigId": "auth_mod_1",
    "profile": {"sub": "1"},
    "realm": "r",
    "createdAt": 1,
    "expiredAt": 2,
    "lastRefresh": 3,
}


def test_a_bare_administrator_is_written_with_every_default() -> None:
    written = write_document(read_document(SimpleAdmin, {**ADMIN, "createdAt": 5}))
    assert list(written.items()) == [
        ("_loc", HERE),
        ("username", "a@b.c"),
        ("password", HASH),
        ("label", "A"),
        ("createdAt", 5),
        ("type", "SIMPLE"),
        ("metadata", {}),
        ("tags", []),
        ("rights", ALL),
        ("adminEntityValidators", {}),
    ]
    assert read_document(SimpleAdmin, ADMIN).created_at > 1_600_000_000_000, "now, in ms"


@pytest.mark.parametrize(
    "password",
    [
        *("s3cret", "", "$2a$10$short", HASH + "\n", HASH + "x", "$1$x"),
        *(f"$2b${cost}{HASH[6:]}" for cost in ("00", "03", "15", "20", "31", "99")),
    ],
)
def test_a_password_that_is_no_hash_is_refused_and_not_told(password: str) -> None:
    with pytest.raises(EntityError) as caught:
        read_document(SimpleAdmin, {**ADMIN, "password": password})
    assert [p.path for p in caught.value.problems] == ["$.password"]
    assert "BCrypt" in str(caught.value)
    if password:
        assert password not in str(caught.value)


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
def test_hashes_of_every_library_are_accepted(prefix: str) -> None:
    for cost in ("04", "10", "14"):
        hashed = f"{prefix}{cost}{HASH[6:]}"
        assert read_document(SimpleAdmin, {**ADMIN, "password": hashed}).id == "a@b.c"


def test_the_template_is_otoroshis() -> None:
    template = simple_admin_template()
    assert (template.username, template.label) == ("new.admin@foo.bar", "new admin")
    assert bcrypt.checkpw(b"password", template.password.encode())
    assert write_document(template)["rights"] == [{"tenant": "default:rw", "teams": ["default:rw"]}]


def test_a_bare_session_of_an_administrator_is_written_with_every_default() -> None:
    times = {"createdAt": 1, "expiredAt": 2, "lastRefresh": 3}
    written = write_document(read_document(AdminSession, {**SESSION, **times}))
    assert list(written.items()) == [
        ("_loc", HERE),
        ("randomId", "s1"),
        ("name", "A"),
        ("email", "a@b.c"),
        ("authConfigId", "none"),
        ("profile", {}),
        ("token", {}),
        ("simpleLogin", True),
        ("createdAt", 1),
        ("expiredAt", 2),
        ("lastRefresh", 3),
        ("metadata", {}),
        ("tags", []),
        ("rights", ALL),
        ("adminEntityValidators", {}),
    ]


def test_a_bare_session_of_a_user_is_written_with_every_default() -> None:
    written = write_document(read_document(AuthModuleUser, USER))
    assert list(written.items()) == [
        ("_loc", HERE),
        ("randomId", "s1"),
        ("name", "A"),
        ("email", "a@b.c"),
        ("authConfigId", "auth_mod_1"),
        ("profile", {"sub": "1"}),
        ("token", {}),
        ("realm", "r"),
        ("otoroshiData", None),
        ("createdAt", 1),
        ("expiredAt", 2),
        ("lastRefresh", 3),
        ("metadata", {}),
        ("tags", []),
    ]


@pytest.mark.parametrize(("cls", "bare"), [(SimpleAdmin, ADMIN), (AdminSession, SESSION)])
@pytest.mark.parametrize(
    "more",
    [
        {"rights": {}},
        {"rights": "*"},
        {"rights": ["*:rw"]},
        {"rights": [{"tenant": "a"}]},
        {"rights": [{"tenant": "a", "teams": "b"}]},
        {"adminEntityValidators": []},
        {"adminEntityValidators": {"all": {}}},
    ],
)
def test_rights_and_checks_that_cannot_be_read_do_not_become_all_rights(
    cls: type[Document], bare: dict[str, Any], more: dict[str, Any]
) -> None:
    entity, problems = inspect_document(cls, {**bare, **more})
    assert entity is None
    assert problems[0].path.startswith(f"$.{next(iter(more))}")


def test_rights_are_written_with_their_flags() -> None:
    raw = {**ADMIN, "rights": [{"tenant": "Acme", "teams": ["ops:r", "dev:not"]}]}
    assert write_document(read_document(SimpleAdmin, raw))["rights"] == [
        {"tenant": "acme:rw", "teams": ["ops:r", "dev:"]}
    ]
