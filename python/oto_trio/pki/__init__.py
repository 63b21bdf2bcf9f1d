"""Public-key infrastructure: keys, certificates, authorities, and what is read from them.

Pure Python on the ``cryptography`` package, which is not used outside of this room: its exceptions
become `PkiError` here. Nothing in here reads a clock or a store; times and what is stored are arguments.
Everything that makes a key or a signature can take a tenth of a second and more: call it by
`in_pki_thread`, never from the event loop.

* `keys`, `names`, `pem`, `pkcs12`: reading and writing the parts;
* `queries`, `issuing`: making certificates as the admin API asks for them;
* `facts`: what is read from a chain, and kept beside it (`enrich`);
* `first_certificates`, `renewal`, `auto_certificate`: what the control plane does with them by itself.
"""

from oto_trio.pki.errors import PkiError
from oto_trio.pki.facts import certificate_data, enrich
from oto_trio.pki.issuing import Authority, Issued, build_request, issue, sign_request
from oto_trio.pki.queries import CsrQuery, KeyQuery
from oto_trio.pki.threads import in_pki_thread

__all__ = [
    "Authority",
    "CsrQuery",
    "Issued",
    "KeyQuery",
    "PkiError",
    "build_request",
    "certificate_data",
    "enrich",
    "in_pki_thread",
    "issue",
    "sign_request",
]
