"""Certificates of clients: judged within the handshake, with the engine's own code, before anything is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trustme
from aioquic import tls
from aioquic._buffer import Buffer
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.conformance.tls.secure import authority
from tests.unit.gateway.quic.gate import ALERT, Gate, Shown, good, issued

if TYPE_CHECKING:
    from collections.abc import Callable

TOO_MUCH = 0xD


class Garbage:
    """Stands where a certificate would."""

    def __init__(self, der: bytes) -> None:
        self.der = der

    def public_bytes(self, _: Encoding) -> bytes:
        return self.der


def test_a_client_with_a_certificate_is_let_in_and_known_by_it() -> None:
    gate = Gate()
    assert gate.knock(**good()) is None
    state = gate.owners[-1].link.state
    assert state.client_chain == [good()["certificate"].public_bytes(Encoding.DER)]
    assert gate.take_in() > 0


def test_an_intermediate_authority_comes_with_the_certificate() -> None:
    leaf = authority().create_child_ca().issue_cert("jo@a.test", common_name="jo")
    chain = [x509.load_pem_x509_certificate(it.bytes()) for it in leaf.cert_chain_pems]
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    gate = Gate()
    shown: Shown = {"certificate": chain[0], "certificate_chain": chain[1:], "private_key": key}
    assert gate.knock(**shown) is None
    assert len(gate.owners[-1].link.state.client_chain) == 2
    shown["certificate_chain"] = []
    assert gate.knock(**shown) == ALERT + 48


@pytest.mark.parametrize(
    ("make", "alert"),
    [
        (dict, 116),
        (lambda: issued(trustme.CA(organization_name="another")), 48),
        (lambda: issued(days=(-9, -1)), 45),
        (lambda: issued(days=(1, 9)), 45),
        (lambda: issued(purpose=ExtendedKeyUsageOID.SERVER_AUTH), 43),
        (lambda: good() | {"private_key": ec.generate_private_key(ec.SECP256R1())}, 51),
        (lambda: good() | {"certificate": Garbage(b"no certificate")}, 42),
        (lambda: good() | {"certificate": Garbage(b"")}, 42),
        (lambda: good() | {"certificate": Garbage(of_version_5())}, 42),
        (lambda: good() | {"certificate_chain": [Garbage(b"0\x82")]}, 42),
        (lambda: good() | {"private_key": ec.generate_private_key(ec.SECP384R1())}, 51),
    ],
    ids=[
        "none",
        "another authority",
        "expired",
        "not yet valid",
        "a server's",
        "without the key",
        "garbage",
        "empty",
        "of an unknown version",
        "garbage behind it",
        "a key of another kind",
    ],
)
def test_what_is_not_believed_is_refused_in_the_handshake(
    make: Callable[[], Shown], alert: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert Gate().knock(**make()) == ALERT + alert
    assert not caplog.records


def of_version_5() -> bytes:
    der = good()["certificate"].public_bytes(Encoding.DER)
    at = der.index(b"\xa0\x03\x02\x01\x02")
    return bytes(der[: at + 4] + b"\x05" + der[at + 5 :])


def test_a_certificate_without_any_proof_of_its_key_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proves = tls.push_certificate_verify

    def prove(buf: Buffer, verify: tls.CertificateVerify) -> None:
        if verify.signature != b"none":
            proves(buf, verify)

    monkeypatch.setattr(tls, "push_certificate_verify", prove)

    def say_nothing(state: Any) -> None:
        class Keyless:
            def sign(self, *_: object) -> bytes:
                return b"none"

        context = state.tls
        context.certificate_private_key = Keyless()
        kind = tls.SignatureAlgorithm.ECDSA_SECP256R1_SHA256
        context._signature_algorithms_for_private_key = lambda: [kind]

    assert Gate().knock(say_nothing, **good()) == ALERT + 10


def test_a_client_that_passes_over_the_question_is_refused() -> None:
    def pass_over(state: Any) -> None:
        context = state.tls
        handle = context._client_handle_certificate_request

        def ignore(message: Any) -> None:
            handle(message)
            context._certificate_request = None

        context._client_handle_certificate_request = ignore

    assert Gate().knock(pass_over, **good()) == ALERT + 10
    assert Gate(client_auth="Want").knock(pass_over) == ALERT + 10


def test_a_certificate_message_has_a_bound() -> None:
    many = [Garbage(bytes(5000))] * 14

    def make_room(state: Any) -> None:
        state._crypto_buffers[tls.Epoch.HANDSHAKE] = Buffer(capacity=100_000)

    assert Gate().knock(make_room, **good() | {"certificate_chain": many}) == TOO_MUCH


def test_who_wants_one_takes_none_but_refuses_a_wrong_one() -> None:
    gate = Gate(client_auth="Want")
    assert gate.knock() is None
    assert gate.owners[-1].link.state.client_chain == []
    assert gate.take_in() > 0
    assert gate.knock(**issued(trustme.CA())) == ALERT + 48


def test_without_strictness_an_unknown_one_is_taken_but_not_one_without_its_key() -> None:
    gate = Gate(strict=False)
    unknown = issued(trustme.CA())
    assert gate.knock(**unknown) is None
    assert gate.take_in() > 0
    stolen: Shown = unknown | {"private_key": ec.generate_private_key(ec.SECP256R1())}
    assert gate.knock(**stolen) == ALERT + 51


def test_nobody_is_asked_where_nobody_needs_one() -> None:
    gate = Gate(client_auth="None")
    assert gate.knock(**good()) is None
    assert gate.owners[-1].link.state.client_chain == []


def test_what_changed_during_the_handshake_holds_for_the_connection() -> None:
    gate = Gate(client_auth="None")
    assert gate.knock() is None
    bare = gate.owners[-1]
    gate.set(client_auth="Need")
    with pytest.raises(ValueError, match="need a certificate"):
        gate.take_in(bare)
    assert gate.knock(**good()) is None
    known = gate.owners[-1]
    gate.set(client_auth="Need", trusted_cas=["server"])
    with pytest.raises(ValueError, match="not trusted"):
        gate.take_in(known)
