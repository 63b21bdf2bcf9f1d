"""URLs of stores in memory: what they mean, and what is said of wrong ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oto_trio.control.store.opening import node_name, store_url_problem
from oto_trio.control.store.state_url import (
    FileUrl,
    HttpUrl,
    MemoryUrl,
    S3Url,
    read_state_url,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_what_urls_mean() -> None:
    assert read_state_url("memory://") == MemoryUrl()
    assert read_state_url("file:///a/b%20c.ndjson") == FileUrl("/a/b c.ndjson", 5.0)
    assert read_state_url("FILE://./s.ndjson?every=0.5") == FileUrl("./s.ndjson", 0.5)
    assert read_state_url("http://h:1/s.json") == HttpUrl("http://h:1/s.json", "http://h:1/s.json")
    assert read_state_url(
        "https://u:p@h/s?token=t#header=X-A:%20b%26c&header=X-D:e&every=60&timeout=5&method=put"
    ) == HttpUrl(
        "https://u:p@h/s?token=t", "https://h/s", (("X-A", "b&c"), ("X-D", "e")), "PUT", 60.0, 5.0
    )
    assert read_state_url("s3://states/otoroshi/states/state") == S3Url(
        "states", "otoroshi/states/state"
    )
    assert read_state_url(
        "s3://AK:se%2Fcret@states//a/b?endpoint=https://s3.local:9000/&region=x-1&acl=Private&every=9"
    ) == S3Url(
        *("states", "/a/b", "https://s3.local:9000", "x-1", "AK", "se/cret"),
        style="path",
        acl="private",
        every_s=9.0,
    )


def test_what_is_shown_has_no_secret() -> None:
    for text in (
        "https://user:hidden@h/s?token=hidden#header=Authorization: hidden",
        "s3://AKhidden:hidden@states/key?region=eu-west-1",
    ):
        read = read_state_url(text)
        assert "hidden" not in read.shown


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("memory://somewhere", "memory://"),
        ("file://host/x", "no file"),
        ("file:///", "no file"),
        ("file:///folder/", "folder"),
        ("file:///x?evry=5", "'evry'"),
        ("file:///x?every=0", "'every'"),
        ("file:///x?every=nan", "'every'"),
        ("file:///x?every=5&every=6", "twice"),
        ("http:///path", "no host"),
        ("http://h:99999/hidden", "port"),
        ("http://h/#header=nothing", "'header'"),
        ("http://h/#header=a%0d%0ab: hidden", "'header'"),
        ("http://h/#header=A: hidden%0d%0aB: c", "'header'"),
        ("http://h/#method=DELETE", "'method'"),
        ("s3://bucket", "no object"),
        ("s3://bucket/", "no object"),
        ("s3://hidden@bucket/key", "secret is missing"),
        ("s3://bucket/key?endpoint=nowhere", "'endpoint'"),
        ("s3://bucket/key?acl=everybody", "'acl'"),
        ("s3://bucket/key?style=odd", "'style'"),
        ("s3://bucket/key?region=EU+WEST", "'region'"),
    ],
)
def test_a_wrong_url_is_explained_and_not_repeated(text: str, named: str) -> None:
    problem = store_url_problem(text)
    assert problem is not None
    message = "; ".join(problem)
    assert named in message
    assert "hidden" not in message
    assert problem[1], "there is a fix"


def test_a_store_of_one_gateway_needs_no_name_of_it(tmp_path: Path) -> None:

    assert node_name("file:///x/state.ndjson", tmp_path / "none") == ""
