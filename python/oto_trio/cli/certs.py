"""`oto-trio certs`: the certificates of a gateway: listed, made, brought in, taken out."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import click
import msgspec

from oto_trio.cli.at_rest import data_option, store_at_rest
from oto_trio.cli.shelves import AdminShelf, Shelf, StoreShelf
from oto_trio.cli.words import Integer
from oto_trio.control.certificates import certificate_of_pem
from oto_trio.model.certificate import Certificate, public_document
from oto_trio.pki import CsrQuery, KeyQuery, PkiError
from oto_trio.pki.first_certificates import INTERMEDIATE_CA
from oto_trio.pki.keys import read_private_key
from oto_trio.pki.pem import certificate_pem, read_certificates
from oto_trio.pki.pkcs12 import read_pkcs12, write_pkcs12

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["command"]

DAY_MS: Final = 86_400_000

KEYS: Final = {
    "p256": KeyQuery(algo="ecdsa", size=256),
    "p384": KeyQuery(algo="ecdsa", size=384),
    "p521": KeyQuery(algo="ecdsa", size=521),
    "rsa2048": KeyQuery(size=2048),
    "rsa3072": KeyQuery(size=3072),
    "rsa4096": KeyQuery(size=4096),
}
"""The kinds of keys by the names of `--key`."""

P = ParamSpec("P")
T = TypeVar("T")

_PLACES: Final = (
    data_option,
    click.option(
        "--admin",
        metavar="URL",
        help="Use a running gateway's admin API.  [default: http://127.0.0.1:8081]",
    ),
    click.option("--client-id", help="Id of the admin API's key.  [default: the well-known one]"),
    click.option("--client-secret", help="Its secret.  [default: the well-known one]"),
)


def _with_places(function: Callable[P, T]) -> Callable[P, T]:
    """Add the options that say where the certificates are."""
    for option in reversed(_PLACES):
        function = option(function)
    return function


def _shelf(
    data: str | None, admin: str | None, client_id: str | None, client_secret: str | None
) -> Shelf:
    """Open what the options name."""
    if data is not None and admin is not None:
        raise click.UsageError("give one of --data and --admin, not both")
    if data is not None:
        return StoreShelf(store_at_rest(data, called="--data"))
    return AdminShelf(admin or "http://127.0.0.1:8081", client_id, client_secret)


_KEY = click.option(
    "--key", type=click.Choice(list(KEYS)), default="p256", show_default=True, help="Kind of key."
)
_ID = click.option(
    "--id", "new_id", metavar="ID", help="Id to keep it under.  [default: a new one]"
)
_REPLACE = click.option("--replace", is_flag=True, help="Replace the certificate under this id.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, without private keys.")
_PASSWORD = click.option(
    "--password-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File whose first line is the password.",
)


@click.group()
def command() -> None:
    """List, make, bring in and take out certificates.

    They are those of --data, a store that is opened here without its gateway, or of --admin, a gateway that runs.

    \b
    Examples:
      oto-trio certs list --expiring 30
      oto-trio certs create-ca 'CN=Our CA, O=Us' --id our-ca --days 3650
      oto-trio certs issue api.example.org '*.api.example.org' --ca our-ca
      oto-trio certs import server.pem --private-key server.key --id server
      oto-trio certs import server.p12 --password-file password.txt
      oto-trio certs export otoroshi-root-ca --out root.pem

    Exit codes: 0 it worked, 1 it failed, or `list --expiring` found some, 2 the command line is wrong.
    """  # noqa: D301 (click reads the \b)


@command.command("list")
@click.option(
    "--expiring",
    "days",
    metavar="DAYS",
    type=Integer(0, 36500),
    help="Only those that expire within so many days; ends with 1 if there are any.",
)
@_JSON
@_with_places
def list_certificates(days: int | None, as_json: bool, **places: Any) -> None:
    """List certificates, the first to expire first.

    \b
    Examples:
      oto-trio certs list
      oto-trio certs list --expiring 14 --data oto-data
      oto-trio certs list --data env:OTO_TRIO_STORE
    """  # noqa: D301 (click reads the \b)
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    found = sorted(_shelf(**places).all(), key=lambda c: (c.valid_to, c.id))
    if days is not None:
        found = [c for c in found if not c.revoked and c.valid_to <= now_ms + days * DAY_MS]
    if as_json:
        click.echo(json.dumps([public_document(c) for c in found]))
    else:
        for line in _table(found, now_ms):
            click.echo(line)
    if days is not None and found:
        raise click.exceptions.Exit(1)


@command.command("create-ca")
@click.argument("subject")
@click.option("--below", metavar="CA", help="Id or serial number of the authority that signs it.")
@click.option("--days", type=Integer(1, 36500), default=3650, show_default=True)
@_KEY
@_ID
@_with_places
def create_ca(
    subject: str, below: str | None, days: int, key: str, new_id: str | None, **places: Any
) -> None:
    """Make an authority with SUBJECT, such as 'CN=Our CA, O=Us'.

    Prints its id.

    \b
    Examples:
      oto-trio certs create-ca 'CN=Our CA, O=Us' --id our-ca
      oto-trio certs create-ca 'CN=Our servers, O=Us' --below our-ca --days 1825
    """  # noqa: D301 (click reads the \b)
    query = CsrQuery(subject=subject, ca=True, key=KEYS[key], duration=days * DAY_MS)
    _keep_made(_shelf(**places), query, below, new_id)


@command.command("issue")
@click.argument("hosts", nargs=-1)
@click.option(
    "--ca",
    default=INTERMEDIATE_CA,
    show_default=True,
    help="Id or serial number of the authority that signs it.",
)
@click.option("--self-signed", is_flag=True, help="Have it sign itself.")
@click.option("--subject", help="Its subject.  [default: CN=HOST]")
@click.option("--client", is_flag=True, help="For a client rather than a server.")
@click.option("--days", type=Integer(1, 36500), default=365, show_default=True)
@click.option("--auto-renew", is_flag=True, help="Have the gateway renew it.")
@_KEY
@_ID
@_with_places
def issue_certificate(
    hosts: tuple[str, ...],
    ca: str,
    self_signed: bool,
    auto_renew: bool,
    new_id: str | None,
    **options: Any,
) -> None:
    """Make a certificate for HOSTS: names, with a wildcard at most as first label, or addresses.

    Prints its id.

    \b
    Examples:
      oto-trio certs issue api.example.org
      oto-trio certs issue api.example.org 10.0.0.7 --ca our-ca --days 90 --auto-renew
      oto-trio certs issue --client --subject 'CN=billing, O=Us' --ca our-ca
    """  # noqa: D301 (click reads the \b)
    if not hosts and not options["subject"]:
        raise click.UsageError("There is neither a host nor a subject; give HOSTS or --subject.")
    places = {name: options.pop(name) for name in ("data", "admin", "client_id", "client_secret")}
    query = CsrQuery(
        hosts=hosts,
        subject=options["subject"],
        client=options["client"],
        key=KEYS[options["key"]],
        duration=options["days"] * DAY_MS,
    )
    authority = None if self_signed else ca
    _keep_made(_shelf(**places), query, authority, new_id, auto_renew=auto_renew)


@command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--private-key",
    "key_file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file of the private key.  [default: in FILE, if it is there]",
)
@_PASSWORD
@_ID
@_REPLACE
@click.option("--name", help="Name to keep it under.  [default: the first host]")
@_with_places
def import_certificate(
    file: Path,
    key_file: Path | None,
    password_file: Path | None,
    new_id: str | None,
    replace: bool,
    name: str | None,
    **places: Any,
) -> None:
    """Bring in FILE: PEM with the certificate and its chain in any order, or PKCS#12.

    Prints its id.

    \b
    Examples:
      oto-trio certs import server.pem --private-key server.key
      oto-trio certs import bundle.pem --id server --replace
      oto-trio certs import server.p12 --password-file password.txt
    """  # noqa: D301 (click reads the \b)
    password = _password(password_file)
    content = _content(file)
    try:
        if content[:1] == b"\x30":  # DER: PEM is text
            chain, key = read_pkcs12(content, password)
            certificate = certificate_of_pem(chain, key)
        else:
            given = None if key_file is None else _content(key_file).decode("utf-8", "replace")
            text = content.decode("utf-8", "replace")
            certificate = certificate_of_pem(text, given, password)
    except PkiError as error:
        raise click.ClickException(f"{file}: {error}") from None
    kept = msgspec.structs.replace(
        certificate, id=new_id or certificate.id, name=name or certificate.name
    )
    _shelf(**places).put(kept, replaces=replace)
    click.echo(kept.id)
    if kept.ca and kept.sans:
        # What `openssl req -x509` makes unless told otherwise.
        click.echo(
            f"{file} is an authority (CA:TRUE), which HTTPS clients are never shown; for a server, make it "
            "with basicConstraints=CA:FALSE",
            err=True,
        )


@command.command("export")
@click.argument("certificate_id", metavar="ID")
@click.option(
    "--form",
    type=click.Choice(["chain", "cert", "key", "bundle", "p12"]),
    default="chain",
    show_default=True,
    help="chain and cert have no private key; bundle is key and chain.",
)
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; a new one, readable by you only.  [default: standard output]",
)
@_PASSWORD
@_with_places
def export_certificate(
    certificate_id: str, form: str, out: Path | None, password_file: Path | None, **places: Any
) -> None:
    """Write the certificate ID as PEM, or as PKCS#12.

    \b
    Examples:
      oto-trio certs export otoroshi-root-ca --out root.pem
      oto-trio certs export server --form bundle --out server.pem
      oto-trio certs export server --form p12 --password-file password.txt --out server.p12
    """  # noqa: D301 (click reads the \b)
    if form == "p12" and out is None:
        raise click.UsageError("--form p12 is no text; give --out")
    certificate = _shelf(**places).get(certificate_id)
    if certificate is None:
        raise click.ClickException(
            f"there is no certificate {certificate_id!r}; `oto-trio certs list` shows what there is"
        )
    try:
        content = _exported(certificate, form, _password(password_file))
    except PkiError as error:
        raise click.ClickException(str(error)) from None
    if out is None:
        click.echo(content.decode(), nl=False)
        return
    _write(out, content)


# ----------------------------------------------------------------------------- parts


def _keep_made(
    shelf: Shelf, query: CsrQuery, authority: str | None, new_id: str | None, **more: Any
) -> None:
    """Make a certificate, keep it, and print its id."""
    try:
        query.check()
    except PkiError as error:
        raise click.ClickException(str(error)) from None
    made = shelf.make(query, authority)
    kept = msgspec.structs.replace(made, id=new_id or made.id, **more)
    shelf.put(kept, replaces=False)
    click.echo(kept.id)


def _exported(certificate: Certificate, form: str, password: str | None) -> bytes:
    """Return a certificate in a form."""
    if form == "chain":
        return certificate.chain.encode()
    if form == "cert":
        return certificate_pem(read_certificates(certificate.chain)[0]).encode()
    if not certificate.private_key.strip():
        raise PkiError(
            "$.privateKey", f"{certificate.id} has no private key", "export its chain instead"
        )
    if form == "key":
        return certificate.private_key.encode()
    if form == "bundle":
        return f"{certificate.private_key.rstrip()}\n{certificate.chain}".encode()
    key = read_private_key(certificate.private_key, certificate.password)
    return write_pkcs12(certificate.name, certificate.chain, key, password)


def _content(file: Path) -> bytes:
    """Read a file.

    Raises:
        ClickException: It cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror}") from None


def _password(file: Path | None) -> str | None:
    """Read a password from the first line of a file."""
    if file is None:
        return None
    return _content(file).decode("utf-8", "replace").partition("\n")[0].rstrip("\r")


def _write(file: Path, content: bytes) -> None:
    """Write a new file that nobody else may read."""
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as opened:
            opened.write(content)
    except FileExistsError:
        raise click.ClickException(
            f"{file} is there already; remove it, or choose another"
        ) from None
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror}") from None


def _table(certificates: Sequence[Certificate], now_ms: int) -> list[str]:
    """Return the lines of the list."""
    rows = [("EXPIRES", "", "TYPE", "ID", "DOMAIN")]
    for one in certificates:
        end = datetime.fromtimestamp(one.valid_to / 1000, UTC)
        rows.append((f"{end:%Y-%m-%d}", _state(one, now_ms), one.cert_type, one.id, one.domain))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _state(certificate: Certificate, now_ms: int) -> str:
    """Say in words how long a certificate is still good."""
    if certificate.revoked:
        return "revoked"
    if certificate.valid_to < now_ms:
        return "expired"
    days = (certificate.valid_to - now_ms) // DAY_MS
    renewed = ", renewed" if certificate.auto_renew else ""
    return f"in {days} d{renewed}"
