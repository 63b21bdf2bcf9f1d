"""What the URL of a Cassandra store says, and what it must not."""

from __future__ import annotations

import pytest

from oto_trio.control.store.cassandra_url import (
    CassandraUrl,
    CassandraUrlError,
    cassandra_url_problem,
    read_cassandra_url,
)

READ = [
    ("cassandra://h", CassandraUrl((("h", 9042),))),
    ("cassandra://h/", CassandraUrl((("h", 9042),))),
    (
        "cassandra://u:p%40%3A@a:1,[::1]:2,c/ks_1?store=x.y&datacenter=dc-1&consistency=local_quorum",
        CassandraUrl(
            (("a", 1), ("::1", 2), ("c", 9042)),
            keyspace="ks_1",
            store="x.y",
            username="u",
            password="p@:",
            datacenter="dc-1",
            is_local=True,
        ),
    ),
    (
        "cassandra://h/?replicationOptions='dc1':+3,%20dc2:2&durableWrites=false&timeout=30",
        CassandraUrl(
            (("h", 9042),),
            timeout_s=30,
            replication=(("dc1", 3), ("dc2", 2)),
            has_durable_writes=False,
        ),
    ),
    (
        "cassandra://h/?replicationStrategy=SimpleStrategy&replicationOptions=x:1&replicationFactor=3",
        CassandraUrl((("h", 9042),), factor=3),
    ),
    (
        "cassandra://h/?tls=true&ca=/ca.pem&cert=/c.pem&key=/k.pem",
        CassandraUrl((("h", 9042),), is_secure=True, ca="/ca.pem", cert="/c.pem", key="/k.pem"),
    ),
]


@pytest.mark.parametrize(("text", "url"), READ)
def test_what_a_url_says(text: str, url: CassandraUrl) -> None:
    assert read_cassandra_url(text) == url
    assert cassandra_url_problem(text) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("redis://h", "scheme"),
        ("cassandra://", "hosts and ports"),
        ("cassandra://u:hidden@h:0", "hosts and ports"),
        ("cassandra://u:hidden@h:x", "hosts and ports"),
        ("cassandra://u:hid/den@h", "hosts and ports"),
        ("cassandra://u:hidden@[h", "hosts and ports"),
        ("cassandra://" + ",".join(["h"] * 65), "65 hosts"),
        ("cassandra://u:hidden@h/Upper", "keyspace"),
        ("cassandra://u:hidden@h/a;b", "keyspace"),
        ("cassandra://u:hidden@h/1a", "keyspace"),
        ("cassandra://hidden@h", "alone"),
        ("cassandra://:hidden@h", "alone"),
        ("cassandra://u:hidden@h/#x", "#"),
        ("cassandra://u:hidden@h/?odd=1", "'odd' is no option"),
        ("cassandra://u:hidden@h/?store=", "'store' is empty"),
        ("cassandra://u:hidden@h/?store=a&store=b", "there twice"),
        ("cassandra://u:hidden@h/?store=a/b", "'store'"),
        ("cassandra://u:hidden@h/?datacenter=a'b", "'datacenter'"),
        ("cassandra://u:hidden@h/?consistency=one", "quorum, local_quorum"),
        ("cassandra://u:hidden@h/?timeout=0", "'timeout'"),
        ("cassandra://u:hidden@h/?replicationFactor=x", "'replicationFactor'"),
        ("cassandra://u:hidden@h/?replicationStrategy=Odd", "SimpleStrategy"),
        ("cassandra://u:hidden@h/?replicationStrategy=NetworkTopologyStrategy", "dc1:3"),
        ("cassandra://u:hidden@h/?replicationOptions=dc1:0", "dc1:3"),
        ("cassandra://u:hidden@h/?replicationOptions=d'c:3};DROP", "dc1:3"),
        ("cassandra://u:hidden@h/?durableWrites=maybe", "true, false"),
        ("cassandra://u:hidden@h/?ca=/x", "tls=true"),
        ("cassandra://u:hidden@h/?tls=true&key=/x", "'cert'"),
    ],
)
def test_a_url_that_is_not_right_is_named_and_not_repeated(text: str, said: str) -> None:
    with pytest.raises(CassandraUrlError) as caught:
        read_cassandra_url(text)
    assert said in str(caught.value)
    assert "hidden" not in str(caught.value)
    problem = cassandra_url_problem(text)
    assert problem is not None
    assert all(problem), "what is wrong, and what to write"


def test_what_is_shown_has_no_password() -> None:
    url = read_cassandra_url("cassandra://u:hidden@a,[::1]:1/ks?store=x&tls=true")
    assert url.shown == "cassandra://a:9042,[::1]:1/ks?store=x"
