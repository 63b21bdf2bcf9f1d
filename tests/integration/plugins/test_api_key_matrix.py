"""Every way to show an API key, in every state a key can be in, over real sockets.

``WANTED`` is the table: what each kind of proof gets in each state. It is checked for completeness twice:
every place that the plugin's config names must be a method here, and every state must say what each kind
of proof gets.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

import jwt
import pytest

from oto_trio.plugins.access_control.apikey_calls import Extractors
from tests.integration.plugins.api_keys import METHODS, Shown, basic, bearer, key, protected, token
from tests.integration.plugins.test_api_key_tokens import CERTIFICATES, PAIRS, pair
from tests.integration.plugins.test_api_keys import (
    BAD,
    KEYS,
    NEXT,
    ROUTES,
    SECRET,
    UNKNOWN,
    WRONG,
    running,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.integration.conftest import Upstream

PASSED: Final = (200, "")
PAST_MS: Final = 1_000_000
PAIR_OF: Final = {SECRET: "rsa", NEXT: "p256", WRONG: "p384"}
"""The key pair that signs where another method shows the secret."""


def pair_token(client_id: str, secret: str) -> str:
    """Make a token that a key pair signs, the one that stands for a secret here."""
    name = PAIR_OF[secret]
    algorithm, private = PAIRS[name]
    now = int(datetime.now(UTC).timestamp())
    body = {"clientId": client_id, "iat": now, "exp": now + 60}
    return jwt.encode(body, private, algorithm, {"kid": name})


PATHS: Final = {
    "client_id": "apikey_simple_id",
    "jwt": "apikey_jwt",
    "basic": "apikey_basic",
    "oto_bearer": "apikey_bearer",
}
"""The path parameter of each extractor that looks at one. Source: Otoroshi's names."""


def in_path(extractor: str, text: str) -> Shown:
    """Show something as the path parameter of an extractor."""
    return Shown(path=f"/{extractor}/{quote(text, safe='')}")


ALL: Final[Mapping[str, Callable[[str, str], Shown]]] = {
    **METHODS,
    "client_id path": lambda c, _: in_path("client_id", c),
    "jwt path": lambda c, s: in_path("jwt", token(c, s)),
    "basic path": lambda c, s: in_path("basic", basic(c, s)),
    "oto_bearer path": lambda c, s: in_path("oto_bearer", bearer(c, s)),
    "jwt_pair header": lambda c, s: Shown(headers={"Otoroshi-Token": pair_token(c, s)}),
    "jwt_pair authorization": lambda c, s: Shown(
        headers={"Authorization": f"Bearer {pair_token(c, s)}"}
    ),
    "jwt_pair query": lambda c, s: Shown(f"bearer_auth={pair_token(c, s)}"),
    "jwt_pair cookie": lambda c, s: Shown(headers={"Cookie": f"access_token={pair_token(c, s)}"}),
    "jwt_pair path": lambda c, s: in_path("jwt", pair_token(c, s)),
}
"""Every method; the first word is the extractor, ``jwt_pair`` being ``jwt`` signed by a key pair."""

EXTRACTORS: Final = tuple(dict.fromkeys(name.split()[0] for name in ALL))


class State(NamedTuple):
    """A state, the secret that the client shows in it, and what each kind of proof gets."""

    name: str
    secret: str
    by_id: tuple[int, str]
    """What the id alone gets."""
    by_secret: tuple[int, str]
    """What the secret gets, and what is made with it."""
    by_pair: tuple[int, str]
    """What a token gets that a key pair signed."""


WANTED: Final = (
    State("good", SECRET, PASSED, PASSED, PASSED),
    State("unknown", SECRET, UNKNOWN, UNKNOWN, UNKNOWN),
    State("disabled", SECRET, BAD, BAD, BAD),
    State("expired", SECRET, BAD, BAD, BAD),
    State("wrong group", SECRET, UNKNOWN, UNKNOWN, UNKNOWN),
    State("wrong tenant", SECRET, UNKNOWN, UNKNOWN, UNKNOWN),
    # Who shows the id alone shows nothing that could be rotated.
    State("rotated out", SECRET, PASSED, BAD, BAD),
    State("rotation off", NEXT, PASSED, BAD, BAD),
    # A key pair has no grace period: the one that the key names is the one that counts.
    State("rotating", SECRET, PASSED, PASSED, PASSED),
    State("rotating", NEXT, PASSED, PASSED, BAD),
    State("rotating", WRONG, PASSED, BAD, BAD),
    State("good", WRONG, PASSED, BAD, BAD),
    State("no id alone", SECRET, BAD, PASSED, PASSED),
)

OLD, NEW = {"jwt-sign-keypair": PAIR_OF[SECRET]}, {"jwt-sign-keypair": PAIR_OF[NEXT]}

DOCUMENTS: Final[Mapping[str, dict[str, Any] | None]] = {
    "good": {},
    "unknown": None,
    "disabled": {"enabled": False},
    "expired": {"validUntil": PAST_MS},
    "wrong group": {"authorizedEntities": ["group_other", "route_other"]},
    "wrong tenant": {"_loc": {"tenant": "other", "teams": []}},
    "rotated out": {"clientSecret": NEXT, "metadata": NEW, "rotation": {"enabled": True}},
    "rotation off": {"rotation": {"enabled": False, "nextSecret": NEXT}},
    "rotating": {"rotation": {"enabled": True, "nextSecret": NEXT}},
    "no id alone": {"allowClientIdOnly": False},
}
"""What the key has in each state; None where there is none."""

ASKED: Final = {"unknown", "disabled", "expired", "wrong group", "wrong tenant", "rotated out"}
"""The states that every method must be refused in."""


def client_of(state: str) -> str:
    """Return the client id of the key in a state."""
    return state.replace(" ", "-")


def test_the_table_has_every_method_and_every_state() -> None:
    methods = {tuple(name.split()[:2]) for name in ALL}
    assert len(ALL) == len(set(ALL))
    for extractor in Extractors.__struct_fields__:
        if extractor == "custom_headers":
            assert (extractor,) in methods
            continue
        fields = getattr(Extractors(), extractor).__struct_fields__
        places = {name.removesuffix("_name") for name in fields if name.endswith("_name")}
        assert places == {"header", "query", "cookie", "path"}
        if extractor != "client_id":
            places.add("authorization")
        names = [extractor, "jwt_pair"] if extractor == "jwt" else [extractor]
        missing = {(name, place) for name in names for place in places} - methods
        assert not missing, missing
    named = {state.name for state in WANTED}
    assert named == set(DOCUMENTS)
    assert named > ASKED
    for state in WANTED:
        if state.name in ASKED - {"rotated out"}:
            assert PASSED not in state[2:], state
    rotated = next(state for state in WANTED if state.name == "rotated out")
    assert (rotated.by_secret, rotated.by_pair) == (BAD, BAD)


@pytest.mark.slow
@pytest.mark.parametrize("extractor", EXTRACTORS)
async def test_every_method_in_every_state(
    tmp_path: Path, upstream: Upstream, extractor: str
) -> None:
    methods = {name: show for name, show in ALL.items() if name.split()[0] == extractor}
    async with running(tmp_path) as gateway:
        route = protected("keys", upstream.url)
        route["frontend"]["domains"] += [
            f"keys.test/{kind}/:{parameter}" for kind, parameter in PATHS.items()
        ]
        await gateway.store(ROUTES, route)
        for name in PAIR_OF.values():
            await gateway.store(CERTIFICATES, pair(name))
        for state_name, more in DOCUMENTS.items():
            if more is not None:
                usual = {"metadata": OLD, "rotation": {"enabled": False}}
                await gateway.store(KEYS, key(client_of(state_name), SECRET, **{**usual, **more}))
        calls = [(name, show, state) for name, show in methods.items() for state in WANTED]
        for name, show, state in calls:
            by_proof = {"client_id": state.by_id, "jwt_pair": state.by_pair}
            wanted = by_proof.get(extractor, state.by_secret)
            where = (name, state.name, state.secret)
            client_id = client_of(state.name)
            shown = show(client_id, state.secret)
            served = len(upstream.heads)
            if wanted == PASSED:
                answer = await gateway.ask("keys", shown)
                assert answer.status_code == 200, (where, answer.text)
                assert len(upstream.heads) == served + 1
                head = upstream.heads[-1]
                assert f"x-api-key={client_id}".encode() not in head, where
                # What stands in the path is the backend's too.
                if not name.endswith("path"):
                    for planted in (state.secret, basic(client_id, state.secret), "otoapk_", "eyJ"):
                        assert planted.rstrip("=").encode() not in head, where
            else:
                assert await gateway.refusal("keys", shown) == wanted, where
                assert len(upstream.heads) == served, "no refused call reaches the backend"
        lines = json.dumps(gateway.process.log)
        for secret in (SECRET, NEXT, WRONG, "otoapk_", "eyJ"):
            assert secret not in lines
