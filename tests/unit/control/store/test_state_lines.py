"""The state of a store as lines: nothing is lost on the way out and in, and Otoroshi's own lines are read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oto_trio.control.store.base import Blob, Record
from oto_trio.control.store.history import Origin, Revision
from oto_trio.control.store.state_lines import (
    STATE_VERSION,
    State,
    read_state,
    state_key,
    write_state,
)
from oto_trio.model.errors import StoreFileError

ids = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
kinds = st.sampled_from(
    ["routes", "apikeys", "global-config", "workflows", "admins", "webauthn-admins", "own", "a:b"]
)
records = st.builds(
    Record,
    kind=kinds,
    id=ids | st.just("global"),
    revision=st.integers(1, 2**50),
    document=st.text(max_size=30).map(lambda t: json.dumps(t).encode()) | st.binary(max_size=9),
)
blobs = st.builds(
    Blob, name=ids, value=st.binary(max_size=20), expires_at=st.none() | st.floats(2e9, 4e9)
)


@given(
    st.lists(records, unique_by=lambda r: (r.kind, r.id), max_size=12),
    st.lists(blobs, unique_by=lambda b: b.name, max_size=4),
)
def test_what_is_written_is_read(documents: list[Record], kept: list[Blob]) -> None:
    revision = max((r.revision for r in documents), default=0)
    other = b'{"k":"otoroshi:apikey:quotas:daily:a","v":7,"t":9000000000000,"w":"counter"}'
    ended = b'{"k":"otoroshi:apikey:quotas:second:a","v":7,"t":999,"w":"counter"}'
    state = State(revision, documents, kept, [(9_000_000_000_000, other), (999, ended)])
    text = b"".join(write_state(state, now_ms=1000))
    read = read_state(text, "it")
    assert read.revision == revision
    assert {(r.kind, r.id): r for r in read.records} == {(r.kind, r.id): r for r in documents}
    assert {b.name: b for b in read.blobs} == {b.name: b for b in kept}
    assert [line for _, line in read.others] == [other]
    for line in text.splitlines():
        entry = json.loads(line)
        assert entry.keys() == {"k", "v", "t", "w"}
        assert entry["w"] in {"string", "hash", "counter"}


def test_entities_stand_where_otoroshi_has_them() -> None:
    found = {
        kind: state_key(kind, "x")
        for kind in ("routes", "apikeys", "admins", "service-groups", "http-listeners", "unknown")
    }
    assert found == {
        "routes": "routes:x",
        "apikeys": "apikey:coll:x",
        "admins": "admins:x",
        "service-groups": "sgroup:x",
        "http-listeners": "extensions:otoroshi_extensions_httplisteners:httplisteners:x",
        "unknown": None,
    }


def test_a_state_of_otoroshi_is_read_and_nothing_of_it_goes_missing() -> None:
    lines = [
        {"k": "oto2:config:global", "v": '{"lines":["prod"]}', "t": -1, "w": "string"},
        {"k": "oto2:routes:r1", "v": '{"id":"r1"}', "t": -1, "w": "string"},
        {"k": "oto2:apikey:coll:k", "v": '{"clientId":"k"}', "t": -1, "w": "string"},
        {"k": "oto2:drafts:d", "v": '{"id":"d"}', "t": 5000, "w": "string"},
        {"k": "oto2:users:alreadyloggedin", "v": ["a"], "t": -1, "w": "set"},
        {"k": "oto2:routes:r1", "v": '{"id":"r1","name":"later"}', "t": -1, "w": "string"},
    ]
    state = read_state(b"\n".join(json.dumps(line).encode() for line in lines), "it")
    assert state.root == "oto2"
    assert state.revision == 1, "they are new here"
    assert {(r.kind, r.id, r.revision, r.document) for r in state.records} == {
        ("global-config", "global", 1, b'{"lines":["prod"]}'),
        ("routes", "r1", 1, b'{"id":"r1","name":"later"}'),
        ("apikeys", "k", 1, b'{"clientId":"k"}'),
    }
    written = [json.loads(line) for line in b"".join(write_state(state, 4000)).splitlines()]
    assert lines[3] in written
    assert lines[4] in written
    assert all(entry["k"].startswith("oto2:") for entry in written)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b'{"k":"otoroshi:routes:a","v":7,"t":-1,"w":"string"}',
        b'{"k":"rootless","v":"x","t":-1,"w":"string"}',
        b'{"k":"otoroshi:oto-trio:facts","v":{"version":"1"},"t":-1,"w":"hash"}',
        b'{"k":"otoroshi:oto-trio:blobs:0","v":{"name":"a","value":"%"},"t":-1,"w":"hash"}',
        b'{"k":"otoroshi:oto-trio:documents:0","v":{"kind":"a"},"t":-1,"w":"hash"}',
    ],
)
def test_a_line_that_is_none_is_named(line: bytes) -> None:
    good = b'{"k":"otoroshi:routes:b","v":"{}","t":-1,"w":"string"}\n\n'
    with pytest.raises(StoreFileError, match="the file: line 3 is no line of a state"):
        read_state(good + line, "the file")


def test_a_state_of_a_newer_version_is_refused() -> None:
    text = b"".join(write_state(State(), 0)).replace(
        b'"version":"%d"' % STATE_VERSION, b'"version":"%d"' % (STATE_VERSION + 3)
    )
    with pytest.raises(StoreFileError, match=f"newer oto-trio .version {STATE_VERSION + 3}"):
        read_state(text, "it")


def test_what_is_remembered_is_written_and_read() -> None:
    before: dict[tuple[str, str], bytes | None] = {
        ("routes", "a b"): b'{"n": 1}',
        ("routes", "new"): None,
        ("odd kind", "\u00e9"): b"\xff\x00",
    }
    revision = Revision(7, 1.5, Origin("me", "r-1", "why"), 3, 320)
    state = State(7, history=[(revision, before)])
    text = b"".join(write_state(state, 0))
    assert read_state(text, "here").history == [(revision, before)]
