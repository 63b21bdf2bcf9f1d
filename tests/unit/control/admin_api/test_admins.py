"""Passwords, attempts to log in, and cookies of administrators."""

from __future__ import annotations

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from oto_trio.control.admin_api.admins import passwords
from oto_trio.control.admin_api.admins.attempts import (
    KNOWN_S,
    MOST_KEPT,
    MOST_KNOWN_NAMES,
    MOST_KNOWN_OF_NAME,
    WINDOW_S,
    Attempts,
)
from oto_trio.control.admin_api.admins.cookies import SessionCookie, is_own_request
from oto_trio.control.admin_api.admins.passwords import (
    check_password,
    hash_password,
    password_problem,
)
from oto_trio.control.admin_api.refusals import ApiError


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_hash_is_of_its_password_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "COST", 4)
    hashed = await hash_password("pässword")
    assert hashed.startswith("$2b$04$")
    assert await check_password("pässword", hashed)
    assert not await check_password("password", hashed)
    assert not await check_password("pässword", None)
    assert not await check_password("pässword", "no hash")
    assert not await check_password("", hashed)


async def test_a_long_password_is_refused_when_it_is_set_and_cut_when_it_is_checked() -> None:
    assert password_problem("x" * 72) is None
    for wrong in ("", "x" * 73, "é" * 37, "a\0b"):
        assert password_problem(wrong) is not None
        with pytest.raises(ApiError):
            await hash_password(wrong)
    of_72 = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert await check_password("x" * 100, of_72), "as those who made such hashes do"
    assert not await check_password("x" * 71, of_72)


@pytest.mark.parametrize("cost", ["00", "03", "15", "31", "99"])
async def test_a_stored_hash_of_a_cost_that_would_stop_the_gateway_is_not_computed(
    monkeypatch: pytest.MonkeyPatch, cost: str
) -> None:
    hashed = bcrypt.hashpw(b"password", bcrypt.gensalt(4)).decode()
    computed: list[bytes] = []

    def note(_: bytes, against: bytes) -> bool:
        computed.append(against)
        return True

    monkeypatch.setattr(bcrypt, "checkpw", note)
    assert await check_password("password", hashed)
    assert not await check_password("password", f"$2b${cost}{hashed[6:]}")
    assert [against[:7] for against in computed] == [b"$2b$04$", b"$2b$10$"]


def test_a_name_from_an_address_has_five_attempts_a_window() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(5):
        assert attempts.wait_s("ann", "1.2.3.4") == 0
        attempts.note_failure("ann", "1.2.3.4")
        clock.now += 10
    assert attempts.wait_s("ann", "1.2.3.4") == WINDOW_S - 50
    assert attempts.wait_s("ann", "5.6.7.8") == 0, "ann herself is elsewhere"
    assert attempts.wait_s("bob", "1.2.3.4") == 0
    clock.now += WINDOW_S - 50
    assert attempts.wait_s("ann", "1.2.3.4") == 0
    attempts.note_failure("ann", "1.2.3.4")
    assert attempts.wait_s("ann", "1.2.3.4") == 0, "a window of its own"


def test_an_address_and_a_name_have_their_bounds_too() -> None:
    attempts = Attempts(Clock())
    for number in range(20):
        attempts.note_failure(f"user{number}", "1.2.3.4")
    assert attempts.wait_s("another", "1.2.3.4") > 0
    for number in range(50):
        attempts.note_failure("ann", f"10.0.0.{number}")
    assert attempts.wait_s("ann", "9.9.9.9") > 0
    assert attempts.wait_s("bob", "9.9.9.9") == 0


def test_addresses_of_ipv6_count_by_their_network() -> None:
    attempts = Attempts(Clock())
    for number in range(20):
        attempts.note_failure(f"user{number}", f"2001:db8:1:2::{number:x}")
    assert attempts.wait_s("another", "2001:db8:1:2:ffff:ffff:ffff:ffff") > 0
    assert attempts.wait_s("another", "2001:0DB8:0001:0002::1%eth0") > 0
    assert attempts.wait_s("another", "2001:db8:1:3::1") == 0
    for _ in range(5):
        attempts.note_failure("ann", "::ffff:1.2.3.4")
    assert attempts.wait_s("ann", "1.2.3.4") > 0, "one and the same"
    assert attempts.wait_s("ann", "::ffff:1.2.3.5") == 0
    for odd in ("", "unix:", "localhost", "1.2.3", ":::", "::1%"):
        attempts.note_failure("ann", odd)
        assert attempts.wait_s("ann", odd) == 0


def test_strangers_do_not_shut_out_who_logged_in_lately() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    attempts.note_success("ann", "2001:db8::1")
    attempts.note_success("ann", "1.2.3.4")
    for number in range(60):
        attempts.note_failure("ann", f"10.0.0.{number}")
    assert attempts.wait_s("ann", "9.9.9.9") > 0
    assert attempts.wait_s("ann", "1.2.3.4") == 0
    assert attempts.wait_s("ann", "2001:db8::2") == 0, "of the same network"
    for _ in range(5):
        attempts.note_failure("ann", "1.2.3.4")
    assert attempts.wait_s("ann", "1.2.3.4") > 0, "its own failures count"
    attempts.note_success("bob", "8.8.8.8")
    assert attempts.wait_s("ann", "8.8.8.8") > 0, "another name does not count"
    clock.now += KNOWN_S
    for number in range(60):
        attempts.note_failure("ann", f"10.0.0.{number}")
    assert attempts.wait_s("ann", "2001:db8::1") > 0, "not lately any more"


def test_who_logged_in_lately_is_a_bounded_memory_and_of_each_name() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    attempts.note_success("ann", "1.2.3.4")
    for number in range(MOST_KNOWN_OF_NAME):
        clock.now += 1
        attempts.note_success("bob", f"5.5.5.{number}")
    attempts.note_success("bob", "6.6.6.6")
    for name in ("ann", "bob"):
        for number in range(50):
            attempts.note_failure(name, f"10.0.0.{number}")
    assert attempts.wait_s("ann", "1.2.3.4") == 0, "bob's addresses push out none of ann's"
    assert attempts.wait_s("bob", "6.6.6.6") == 0
    assert attempts.wait_s("bob", "5.5.5.1") == 0
    assert attempts.wait_s("bob", "5.5.5.0") > 0, "the oldest is forgotten"
    for number in range(MOST_KNOWN_NAMES):
        attempts.note_success(f"user{number}", "1.1.1.1")
    assert attempts.wait_s("ann", "1.2.3.4") > 0
    assert len(attempts._known) <= MOST_KNOWN_NAMES  # pyright: ignore[reportPrivateUsage]


def test_success_forgets_what_failed_before_it() -> None:
    attempts = Attempts(Clock())
    for _ in range(4):
        attempts.note_failure("ann", "1.2.3.4")
    attempts.note_success("ann", "1.2.3.4")
    for _ in range(4):
        attempts.note_failure("ann", "1.2.3.4")
    assert attempts.wait_s("ann", "1.2.3.4") == 0


def test_what_is_counted_is_bounded() -> None:
    attempts = Attempts(Clock())
    for _ in range(5):
        attempts.note_failure("ann", "1.2.3.4")
    for number in range(MOST_KEPT):
        attempts.note_failure(f"u{number}", f"a{number}")
    assert attempts.wait_s("ann", "1.2.3.4") == 0
    assert len(attempts._rows) <= MOST_KEPT  # pyright: ignore[reportPrivateUsage]


@given(st.text(max_size=40))
def test_any_cookie_line_can_be_read(line: str) -> None:
    raw = line.encode("utf-8", "replace")
    SessionCookie().token(Headers(raw=[(b"cookie", raw)]))


def test_the_cookie_is_found_among_others() -> None:
    cookie = SessionCookie()
    assert cookie.token(Headers({"cookie": "a=b; otoroshi-session=tok; c=d"})) == "tok"
    assert cookie.token(Headers({"cookie": 'bad cookie; otoroshi-session="tok"'})) == "tok"
    assert cookie.token(Headers({"cookie": "otoroshi-session=; x-otoroshi-session=1"})) is None
    assert cookie.token(Headers({})) is None


@pytest.mark.parametrize(
    ("headers", "is_own"),
    [
        ({}, True),
        ({"origin": "http://gw:8081", "host": "gw:8081"}, True),
        ({"origin": "http://GW:8081", "host": "gw:8081"}, True),
        ({"origin": "http://gw", "host": "gw:8081"}, False),
        ({"origin": "null", "host": "gw"}, False),
        ({"origin": "http://evil", "host": "gw"}, False),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
    ],
)
def test_whose_page_made_a_request(headers: dict[str, str], *, is_own: bool) -> None:
    assert is_own_request(Headers(headers), "POST") is is_own
    assert is_own_request(Headers(headers), "GET")
