"""The URL of a Redis store: what it says, and what is wrong with it."""

from __future__ import annotations

import pytest

from oto_trio.control.settings import Settings, settings_problems
from oto_trio.control.store.redis_url import RedisUrl, RedisUrlError, read_redis_url


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("redis://h", RedisUrl((("h", 6379),), 0, "oto-trio")),
        ("REDIS://H:7000/", RedisUrl((("h", 7000),), 0, "oto-trio")),
        ("redis://h:1/15?prefix=a.b:c", RedisUrl((("h", 1),), 15, "a.b:c")),
        ("redis://[::1]:6380/2", RedisUrl((("::1", 6380),), 2, "oto-trio")),
        (
            "redis://us%40er:p%3Aa%2Fss%23@h",
            RedisUrl((("h", 6379),), 0, "oto-trio", username="us@er", password="p:a/ss#"),
        ),
        ("redis://:only@h", RedisUrl((("h", 6379),), 0, "oto-trio", password="only")),
        ("redis://on%20ly@h", RedisUrl((("h", 6379),), 0, "oto-trio", password="on ly")),
        (
            "rediss://h?ca=%2Fa%20b.pem&cert=c.pem&key=k.pem",
            RedisUrl(
                *((("h", 6379),), 0, "oto-trio"),
                is_secure=True,
                ca="/a b.pem",
                cert="c.pem",
                key="k.pem",
            ),
        ),
        (
            "redis-sentinel://u:p@a,b:1/3?sentinelMasterId=mymaster&sentinelPassword=s",
            RedisUrl(
                *((("a", 26379), ("b", 1)), 3, "oto-trio", "u", "p"),
                kind="sentinel",
                master="mymaster",
                sentinel_password="s",
            ),
        ),
        (
            "rediss-cluster://a:7000,[::1]:7001?prefix=p",
            RedisUrl((("a", 7000), ("::1", 7001)), 0, "p", is_secure=True, kind="cluster"),
        ),
    ],
)
def test_what_a_url_says(text: str, wanted: RedisUrl) -> None:
    assert read_redis_url(text) == wanted


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http://:hidden@h", "scheme"),
        ("redis://", "names no host"),
        ("redis://:hidden@/0", "names no host"),
        ("redis://:hidden@h:0", "port 0"),
        ("redis://:hidden@h:70000", "port"),
        ("redis://:hidden@h:port", "port"),
        ("redis://:hid/den@h/0", "no URL"),
        ("redis://:hid#hidden@h", "percent-encode"),
        ("redis://h#hidden", "'#'"),
        ("redis://:hidden@[h", "no URL"),
        ("redis://:hidden@h/one", "number of a database"),
        ("redis://:hidden@h/0/1", "number of a database"),
        ("redis://:hidden@h?timeout=1", "is no option"),
        ("redis://:hidden@h?prefix=a&prefix=b", "twice"),
        ("redis://:hidden@h?prefix=", "empty"),
        ("redis://:hidden@h?prefix={a}", "letters, digits"),
        ("redis://:hidden@h?ca=a.pem", "without TLS"),
        ("rediss://:hidden@h?key=a.pem", "'cert'"),
        ("redis://:hidden@h,i", "names 2 hosts"),
        ("redis-sentinel://:hidden@h", "'sentinelMasterId'"),
        ("redis-sentinel://:hidden@h,,i?sentinelMasterId=m", "names no host"),
        ("redis-cluster://:hidden@h?sentinelMasterId=m", "is no option"),
        ("redis-cluster://:hidden@h/1", "only the database 0"),
        ("redis-ring://:hidden@h", "scheme"),
    ],
)
def test_what_is_wrong_is_said_without_the_password(text: str, reason: str) -> None:
    with pytest.raises(RedisUrlError) as caught:
        read_redis_url(text)
    assert reason in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert ";" in str(caught.value), "what is wrong; what to write"


def test_what_is_shown_has_neither_user_nor_password() -> None:
    read = read_redis_url("rediss://user:hidden@[::1]:1/2?prefix=p&ca=x.pem")
    assert read.shown == "rediss://[::1]:1/2?prefix=p"
    read = read_redis_url(
        "redis-sentinel://:hidden@a,b/?sentinelMasterId=m&sentinelPassword=hidden"
    )
    assert read.shown == "redis-sentinel://a:26379,b:26379/0?sentinelMasterId=m&prefix=oto-trio"


def test_a_wrong_setting_is_named_with_its_fix() -> None:
    assert settings_problems(Settings(store="redis://user:hidden@h/0")) == []
    (problem,) = settings_problems(Settings(store="redis://user:hidden@h/zero"))
    assert problem.path == "$.settings.store"
    assert problem.fix == "write it like redis://user:password@host:6379/0"
    assert "hidden" not in str(problem)
