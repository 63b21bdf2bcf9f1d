"""SimpleBasicAuth."""

import base64

import bcrypt
import pytest

from oto_trio.plugin_api import Phase, PluginError, Response, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.authentication.simple_basic_auth import SimpleBasicAuth, SimpleBasicAuthConfig
from oto_trio.testing import FakeExchange, play
from tests.unit.plugins.token_plans import send

HASH = bcrypt.hashpw(b"hashed", bcrypt.gensalt(4)).decode()
USERS = {"bob": "secret", "ann": HASH, "broken": "$2b$no hash"}
CHALLENGE = Response(401, (("WWW-Authenticate", 'Basic realm="the \\"place\\""'),))


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "passes"),
    [
        (basic("bob:secret"), True),
        (basic("bob:secret").lower().replace("basic", "bAsIc"), False),
        (basic("bob:secret").replace("Basic", "bAsIc"), True),
        (basic("bob:Secret"), False),
        (basic("bob:"), False),
        (basic("eve:"), False),
        (basic("eve:secret"), False),
        (basic("ann:hashed"), True),
        (basic("ann:hashe"), False),
        (basic("ann:" + HASH), False),
        (basic("broken:$2b$no hash"), False),
        ("Bearer abc", False),
        ("Basic %%%", False),
        (None, False),
    ],
)
async def test_name_and_password_must_be_listed(authorization: str | None, passes: bool) -> None:
    config = SimpleBasicAuthConfig('the "place"', USERS)
    plugin = SimpleBasicAuth(config)
    fields = {} if authorization is None else {"Authorization": authorization}
    exchange = FakeExchange.of("GET", "http://api.localhost/", fields)
    assert await play(plugin, exchange) == (None if passes else CHALLENGE)
    native = steps.Native("basic_auth", Phase.ACCESS, config, undecided=True)
    assert plugin.lower() == (native,)


async def test_global_users_win() -> None:
    plugin = SimpleBasicAuth(SimpleBasicAuthConfig(users={"bob": "mine"}))
    for password, passes in (("mine", False), ("global", True)):
        fields = {"Authorization": basic(f"bob:{password}")}
        exchange = FakeExchange.of("GET", "http://api.localhost/", fields)
        exchange.plugins_config = {"simple_basic_auth_global_users": {"bob": "global"}}
        assert (await play(plugin, exchange) is None) == passes


async def test_a_hash_is_checked_once_and_a_wrong_password_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked: list[bytes] = []
    checkpw = bcrypt.checkpw

    def counting(password: bytes, hashed: bytes) -> bool:
        checked.append(password)
        return checkpw(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    plugin = SimpleBasicAuth(SimpleBasicAuthConfig(users=USERS))
    for password in ("hashed", "hashed", "wrong", "wrong", "hashed"):
        fields = {"Authorization": basic(f"ann:{password}")}
        await play(plugin, FakeExchange.of("GET", "http://api.localhost/", fields))
    assert checked == [b"hashed", b"wrong", b"wrong"]


def test_a_realm_no_header_can_carry_is_refused_when_the_config_is_read() -> None:
    with pytest.raises(PluginError, match=r"\$\.realm"):
        read_config(SimpleBasicAuthConfig, {"realm": "a\r\nSet-Cookie: b"})


@pytest.mark.parametrize(
    ("own", "everywhere", "cost"),
    [
        ({"ann": HASH, "bob": "secret"}, {}, "04"),
        ({"bob": "secret"}, {"ann": HASH}, "04"),
        ({"ann": HASH}, {"kim": HASH.replace("$04$", "$06$")}, "06"),
        ({"bob": "secret", "broken": "$2b$99$no hash"}, {"n": 1}, None),
    ],
)
async def test_a_name_that_is_not_listed_costs_what_a_wrong_password_costs(
    own: dict[str, str],
    everywhere: dict[str, object],
    cost: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked: list[tuple[bytes, bool]] = []
    checkpw = bcrypt.checkpw

    def noting(password: bytes, hashed: bytes) -> bool:
        checked.append((hashed[:7], checkpw(password, hashed)))
        return checked[-1][1]

    monkeypatch.setattr(bcrypt, "checkpw", noting)
    plugin = SimpleBasicAuth(SimpleBasicAuthConfig('the "place"', own))
    for name in ("eve", "\x00", "Ann"):
        exchange = FakeExchange.of(
            "GET", "http://api.localhost/", {"Authorization": basic(f"{name}:hashed")}
        )
        exchange.plugins_config = {"simple_basic_auth_global_users": everywhere}
        assert await play(plugin, exchange) == CHALLENGE
    assert checked == ([] if cost is None else [(f"$2b${cost}$".encode(), False)] * 3)


@pytest.mark.parametrize(("users", "checks"), [({"ann": HASH}, 1), ({"ann": "clear"}, 0)])
def test_the_engine_leaves_unlisted_names_to_the_hook_where_hashes_are(
    users: dict[str, str], checks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[bytes] = []

    def noting(password: bytes, _hashed: bytes) -> bool:
        checked.append(password)
        return False

    monkeypatch.setattr(bcrypt, "checkpw", noting)
    sent = send("SimpleBasicAuth", {"users": users}, ("Authorization", basic("eve:x")))
    assert sent.status == 401
    assert len(checked) == checks
