"""What lists of rights allow, in which places."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oto_trio.control.admin_api.refusals import ApiError
from oto_trio.control.admin_api.rights.caller import Caller, acting_as
from oto_trio.control.admin_api.rights.decisions import Rights
from oto_trio.control.admin_api.rights.locations import held_rights, place_of, rights_of_key
from oto_trio.control.admin_api.rights.scoped_store import ScopedStore
from oto_trio.control.store import Delete, MemoryStore, Put, Seen
from oto_trio.model.errors import ConflictError, StoreMovedError
from oto_trio.model.location import Location
from oto_trio.model.rights import SUPER_ADMIN, UserRight


def rights(*pairs: tuple[str, list[str]]) -> Rights:
    return Rights(UserRight(tenant=tenant, teams=tuple(teams)) for tenant, teams in pairs)


def at(tenant: str, *teams: str) -> Location:
    return Location(tenant=tenant, teams=teams)


@pytest.mark.parametrize(
    ("held", "place", "tenant", "reads", "writes"),
    [
        (("acme:rw", ["a:rw"]), at("acme", "a"), "acme", True, True),
        (("acme", ["a"]), at("acme", "a"), "acme", True, True),
        (("ACME:RW", [" A:rw"]), at("acme", "a"), "acme", True, True),
        (("acme:rw", ["a:r"]), at("acme", "a"), "acme", True, False),
        (("acme:r", ["a:rw"]), at("acme", "a"), "acme", True, False),
        (("acme:", ["a:rw"]), at("acme", "a"), "acme", False, False),
        (("acme:rw", ["a:"]), at("acme", "a"), "acme", False, False),
        (("acme:not", ["a:rw"]), at("acme", "a"), "acme", False, False),
        (("acme:w", ["a:rw"]), at("acme", "a"), "acme", False, False),
        (("acme:rw", ["b:rw"]), at("acme", "a"), "acme", False, False),
        (("acme:rw", ["b:rw"]), at("acme", "a", "b"), "acme", True, True),
        (("acme:rw", ["*:r"]), at("acme", "a"), "acme", True, False),
        (("acme:rw", ["team-*:rw"]), at("acme", "team-1"), "acme", True, True),
        (("acme:rw", ["team.*:rw"]), at("acme", "team-1"), "acme", False, False),
        (("ac*:rw", ["a:rw"]), at("acme", "a"), "acme", True, True),
        # the tenant that the request is for
        (("*:rw", ["a:rw"]), at("acme", "a"), "default", False, False),
        (("acme:rw", ["*:rw"]), at("acme", "a"), "default", False, False),
        (("*:r", ["*:r"]), at("acme", "a"), "acme", True, False),
        (("*:rw", ["*:rw"]), at("acme", "a"), "default", True, True),
        # what belongs to no team, or to every tenant
        (("acme:rw", ["*:rw"]), at("acme"), "acme", True, True),
        (("acme:rw", ["*:r"]), at("acme"), "acme", False, False),
        (("acme:rw", ["a:rw"]), at("*", "a"), "acme", False, False),
        (("*:r", ["a:rw"]), at("*", "a"), "acme", True, False),
    ],
)
def test_one_right(
    held: tuple[str, list[str]], place: Location, tenant: str, reads: bool, writes: bool
) -> None:
    mine = rights(held)
    assert mine.may("r", place, tenant) is reads
    assert mine.may("w", place, tenant) is writes


def test_two_rights_do_not_add_up_to_one_that_nobody_has() -> None:
    mine = rights(("acme:rw", ["a:r"]), ("globex:r", ["*:rw"]))
    assert not mine.may("w", at("acme", "b"), "acme")
    assert not mine.may("r", at("acme", "b"), "acme")
    assert not mine.may("w", at("globex", "a"), "globex")


def test_who_is_an_administrator_of_what() -> None:
    assert Rights(SUPER_ADMIN).is_super_admin
    assert not rights(("*:rw", ["a:rw"])).is_super_admin
    assert not rights(("*:r", ["*:rw"])).is_super_admin
    assert not rights(("*:rw", ["a:rw"]), ("acme:rw", ["*:rw"])).is_super_admin
    assert rights(("acme:rw", ["*:rw"])).is_tenant_admin("acme")
    assert not rights(("acme:rw", ["*:rw"])).is_tenant_admin("default")
    assert not rights(("acme:rw", ["*:r"])).is_tenant_admin("acme")


def _access_of(text: str, flags: str) -> str:
    return f"{text}:{flags}"


def _right_of(tenant: str, teams: list[str]) -> UserRight:
    return UserRight(tenant=tenant, teams=tuple(teams))


_ids = st.sampled_from(["a", "ab", "b", "*", "a*", "*b"])
_access = st.builds(_access_of, _ids, st.sampled_from(["", "r", "rw"]))
_lists = st.lists(st.builds(_right_of, _access, st.lists(_access, max_size=2)), max_size=3)
_plain = st.sampled_from(["a", "ab", "b", "c"])


@given(_lists, _lists, _plain, st.lists(_plain, max_size=2), _plain, st.sampled_from(["r", "w"]))
def test_rights_that_are_covered_allow_nothing_more(
    mine: list[UserRight],
    others: list[UserRight],
    tenant: str,
    teams: list[str],
    asked: str,
    mode: str,
) -> None:
    """`covers` errs only by saying no."""
    have, want = Rights(mine), Rights(others)
    if not have.covers(want):
        return
    place = at(tenant, *teams)
    if want.may("w" if mode == "w" else "r", place, asked) and teams:
        assert have.may("w" if mode == "w" else "r", place, asked)
    assert have.is_super_admin or not want.is_super_admin


def test_places_of_documents() -> None:
    def place(kind: str, document: object, entity_id: str = "x") -> Location | None:
        return place_of(kind, entity_id, msgspec.json.encode(document))

    assert place("routes", {"_loc": {"tenant": " ACME", "teams": ["A"]}}) == at("acme", "a")
    assert place("routes", {}) == at("default", "default")
    assert place("routes", {"_loc": None}) == at("default", "default")
    assert place("routes", {"_loc": 3}) is None
    assert place("routes", {"_loc": {"tenant": 3}}) is None
    assert place("routes", {"_loc": {"tenant": "acme", "more": 1}}) == at("acme", "default")
    assert place_of("routes", "x", b"{") is None
    assert place("tenants", {"id": "x"}) == at("x")
    assert place("teams", {"id": "x", "tenant": "acme"}) == at("acme", "x")
    assert place("teams", {"id": "x"}) is None
    assert place("global-configs", {"_loc": {"tenant": "acme"}}) is None
    assert place("a-kind-of-tomorrow", {"_loc": {"tenant": "acme"}}) is None


@pytest.mark.parametrize("own", ["otoroshi-root-ca", "otoroshi-intermediate-ca"])
def test_the_installations_authorities_belong_to_no_team(own: str) -> None:
    """Their documents hold their keys; so do the copies that are kept when they are renewed."""

    def place(document: object, entity_id: str) -> Location | None:
        return place_of("certificates", entity_id, msgspec.json.encode(document))

    nobody = Location(tenant="default", teams=())
    assert place({}, own) == nobody
    assert place({"_loc": {"tenant": "*", "teams": ["*"]}}, own) == nobody
    assert place({"metadata": {"nextCertificate": own}}, "a copy") == nobody
    assert place_of("certificates", own, b"{") is None
    for metadata in (None, 3, {}, {"nextCertificate": "mine"}, {"nextCertificate": [own]}):
        document = {"_loc": {"tenant": "acme"}, "metadata": metadata}
        assert place(document, "mine") == at("acme", "default")
    assert place_of("routes", own, b"{}") == at("default", "default")
    for rights, allowed in (
        ([UserRight(tenant="*:rw", teams=("*:rw",))], True),
        ([UserRight(tenant="default:rw", teams=("*:rw",))], True),
        ([UserRight(tenant="default:rw", teams=("default:rw",))], False),
        ([UserRight(tenant="default:r", teams=("*:r",))], False),
        ([UserRight(tenant="acme:rw", teams=("*:rw",))], False),
    ):
        assert Rights(rights).may("r", nobody, "default") is allowed
        assert Rights(rights).may("w", nobody, "default") is allowed


def _key(**more: object) -> bytes:
    return msgspec.json.encode({"authorizedEntities": ["group_admin-api-group"], **more})


def test_what_a_document_gives_away() -> None:
    narrow = [{"tenant": "acme:rw", "teams": ["a:rw"]}]
    text = msgspec.json.encode(narrow).decode()
    mine = rights(("acme:rw", ["*:rw"]))

    def covered(kind: str, document: bytes) -> bool:
        held = held_rights(kind, document)
        return held is None or mine.covers(held)

    assert covered("routes", b"{}")
    assert covered("apikeys", msgspec.json.encode({"authorizedEntities": ["route_r1"]}))
    assert not covered("apikeys", _key())
    assert covered("apikeys", _key(metadata={"otoroshi-access-rights": text}))
    assert not covered("admins", b"{}")
    assert not covered("admins", msgspec.json.encode({"rights": None}))
    assert covered("admins", msgspec.json.encode({"rights": narrow}))
    assert not covered("admin-sessions", b"[]")
    assert not covered("webauthn-admins", b"{")


@pytest.mark.parametrize("text", ["", "{}", "[{}]", "[1]", "null", "[", '"x"'])
def test_a_text_that_is_no_list_of_rights_allows_nothing(text: str) -> None:
    found = rights_of_key({"metadata": {"otoroshi-access-rights": text}})
    assert found is not None
    assert not found.may("r", at("default", "default"), "default")


def test_new_entities_go_where_their_maker_may_write() -> None:
    mine = rights(("acme:r", ["x:rw"]), ("acme:rw", ["*:rw", "r:r", "a:rw"]))
    assert Caller(rights=mine, tenant="acme").own_place() == {"tenant": "acme", "teams": ["a"]}
    assert Caller(rights=mine, tenant="b").own_place() == {"tenant": "b", "teams": ["default"]}
    assert Caller(tenant="acme").own_place() == {"tenant": "acme", "teams": ["default"]}


async def test_places_in_a_list_are_those_of_what_the_caller_sees() -> None:
    async with MemoryStore() as store:
        for name, tenant in (("a", "acme"), ("b", "globex"), ("c", "acme")):
            place = {"tenant": tenant, "teams": ["x"]}
            await store.put("routes", name, msgspec.json.encode({"_loc": place, "id": name}))
        scoped = ScopedStore(store)
        with acting_as(Caller(rights=rights(("acme:rw", ["*:rw"])), tenant="acme")):
            assert [await scoped.id_at("routes", place) for place in range(3)] == ["a", "c", None]
        with acting_as(Caller()):
            assert [await scoped.id_at("routes", place) for place in range(3)] == ["a", "b", "c"]


TEAM = [{"tenant": "acme:rw", "teams": ["a:rw"]}]
RULE = {"path": "$.metadata.owner", "value": "IsDefined()"}


@pytest.mark.parametrize("kind", ["admins", "webauthn-admins", "admin-sessions"])
async def test_administrators_are_written_by_an_administrator_of_the_tenant(kind: str) -> None:
    place = {"tenant": "acme", "teams": ["a"]}
    document = msgspec.json.encode({"_loc": place, "rights": TEAM})
    async with MemoryStore() as store:
        await store.put(kind, "old", document)
        scoped = ScopedStore(store)
        with acting_as(Caller(rights=rights(("acme:rw", ["a:rw"])), tenant="acme")):
            assert await scoped.get(kind, "old") is not None
            for write in (
                Put(kind, "new", document),
                Put(kind, "old", document),
                Delete(kind, "old"),
            ):
                with pytest.raises(ApiError):
                    await scoped.transact([write])
            await scoped.transact([Put("routes", "r", document)])
        assert await store.count(kind) == 1
        with acting_as(Caller(rights=rights(("acme:rw", ["*:rw"])), tenant="acme")):
            await scoped.transact([Put(kind, "new", document), Delete(kind, "old")])
        assert await store.get(kind, "new") is not None


async def test_what_a_write_expects_to_see_is_no_way_to_look_at_other_tenants() -> None:
    mine, other = ({"_loc": {"tenant": tenant, "teams": ["a"]}} for tenant in ("acme", "other"))
    async with MemoryStore() as store:
        await store.put("routes", "mine", msgspec.json.encode(mine))
        await store.put("routes", "other", msgspec.json.encode(other))
        scoped = ScopedStore(store)
        write = Put("routes", "new", msgspec.json.encode(mine))
        with acting_as(Caller(rights=rights(("acme:rw", ["*:rw"])), tenant="acme")):
            for expect in ("absent", "present", 2):
                with pytest.raises(ApiError):
                    await scoped.transact([write], seen=[Seen("routes", "other", expect)])
            with pytest.raises(ConflictError):
                await scoped.transact([write], seen=[Seen("routes", "mine", 7)])
            with pytest.raises(StoreMovedError):
                await scoped.transact([write], at=1)
            assert await store.get("routes", "new") is None
            assert await scoped.transact([write], at=2, seen=[Seen("routes", "mine", 1)]) == 3


@pytest.mark.parametrize("mine", [rights(("*:rw", ["*:rw"])), rights(("acme:rw", ["*:rw"]))])
async def test_nobody_hands_on_fewer_validators_than_bind_him(mine: Rights) -> None:
    caller = Caller(rights=mine, tenant="acme", validators={"all": (RULE,)})
    base: dict[str, Any] = {"_loc": {"tenant": "acme", "teams": ["a"]}, "rights": TEAM}
    others: list[dict[str, Any]] = [
        {},
        {"adminEntityValidators": None},
        {"adminEntityValidators": {}},
        {"adminEntityValidators": {"all": []}},
        {"adminEntityValidators": {"route": [RULE]}},
        {"adminEntityValidators": {"all": [{**RULE, "value": 1}]}},
        {"adminEntityValidators": [RULE]},
    ]
    right = msgspec.json.encode(TEAM).decode()
    key = {**base, "metadata": {"otoroshi-access-rights": right}}
    async with MemoryStore() as store:
        scoped = ScopedStore(store)

        async def puts(kind: str, document: dict[str, Any], who: Caller = caller) -> int:
            with acting_as(who):
                try:
                    await scoped.transact([Put(kind, "x", msgspec.json.encode(document))])
                except ApiError as refused:
                    return refused.answer_status
            return 200

        for kind in ("admins", "webauthn-admins", "admin-sessions"):
            for wrong in others:
                assert await puts(kind, {**base, **wrong}) == 403, wrong
            assert await puts(kind, {**base, "adminEntityValidators": {"all": [RULE]}}) == 200
        opening = {**key, "authorizedEntities": ["group_admin-api-group"]}
        assert await puts("apikeys", opening) == 403
        assert await puts("apikeys", {**key, "authorizedEntities": ["group_default"]}) == 200
        free = msgspec.structs.replace(caller, validators={})
        assert await puts("apikeys", opening, free) == 200
        assert await puts("admins", base, free) == 200
