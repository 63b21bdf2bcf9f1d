"""Let only some users through.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgHasAllowedUsersValidator``.
"""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Refusal, Step, steps
from oto_trio.plugin_api.json_values import JsonPathError, compile_path, has_match

__all__ = ["NgHasAllowedUsersValidator", "NgHasAllowedUsersValidatorConfig"]

_PATHS = (
    "metadata_match",
    "metadata_not_match",
    "otoroshi_data_match",
    "otoroshi_data_not_match",
    "profile_match",
    "profile_not_match",
)

Texts = tuple[str, ...]


class NgHasAllowedUsersValidatorConfig(Config, frozen=True):
    """Who may pass: one list is enough."""

    usernames: Annotated[Texts, Meta(description="Names of users.")] = ()
    emails: Annotated[Texts, Meta(description="Mail addresses.")] = ()
    email_domains: Annotated[
        Texts, Meta(description="Domains of mail addresses; their subdomains count too.")
    ] = ()
    metadata_match: Annotated[
        Texts, Meta(description="JSONPaths into the user's otoroshi data; one must lead somewhere.")
    ] = ()
    metadata_not_match: Annotated[
        Texts, Meta(description="JSONPaths of which none may, for metadata_match to count.")
    ] = ()
    otoroshi_data_match: Annotated[Texts, Meta(description="The same as metadata_match.")] = ()
    otoroshi_data_not_match: Annotated[Texts, Meta(description="Likewise.")] = ()
    profile_match: Annotated[
        Texts, Meta(description="JSONPaths into the user's profile; one must lead somewhere.")
    ] = ()
    profile_not_match: Annotated[
        Texts, Meta(description="JSONPaths of which none may, for profile_match to count.")
    ] = ()

    def __post_init__(self) -> None:
        """Refuse a path that is none when the config is read."""
        for name in _PATHS:
            paths: Texts = getattr(self, name)
            for place, path in enumerate(paths):
                try:
                    compile_path(path)
                except JsonPathError as error:
                    raise ValueError(f"{name}[{place}]: {error}") from error


class NgHasAllowedUsersValidator(Plugin[NgHasAllowedUsersValidatorConfig]):
    """Refuses with 403 who is not logged in, or is in none of the lists.

    Otoroshi never reads ``otoroshi_data_*``, and takes an empty ``*_not_match`` for one that matches, so
    that ``*_match`` alone lets nobody in; here both do what they say. A domain such as ``a.test`` lets
    ``bob@a.test`` and ``bob@b.a.test`` in and not, as there, ``eve@evil-a.test``. Paths are followed in
    Python.
    """

    id = "cp:otoroshi.next.plugins.NgHasAllowedUsersValidator"
    name = "Allowed users only"
    description = "Lets only listed users through."
    categories = ("AccessControl",)

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        user, config = exchange.user, self.config
        if user is None:
            return Refusal(403, "forbidden")
        email = user.get("email")
        if user.get("name") in config.usernames or email in config.emails:
            return None
        if isinstance(email, str) and any(_is_under(email, it) for it in config.email_domains):
            return None
        data, profile = user.get("otoroshiData"), user.get("profile")
        for document, wanted, unwanted in (
            (data, config.metadata_match, config.metadata_not_match),
            (data, config.otoroshi_data_match, config.otoroshi_data_not_match),
            (profile, config.profile_match, config.profile_not_match),
        ):
            if _has_any(document, wanted) and not _has_any(document, unwanted):
                return None
        return Refusal(403, "forbidden")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("allowed_users", Phase.ACCESS, self.config, undecided=True),)


def _is_under(email: str, domain: str) -> bool:
    """Tell whether a mail address is one of a domain, or of a domain below it."""
    before = email.removesuffix(domain)
    if not domain or before == email:
        return False
    return domain.startswith(("@", ".")) or before.endswith(("@", "."))


def _has_any(document: object, paths: Sequence[str]) -> bool:
    """Tell whether one of the paths leads somewhere."""
    return any(has_match(compile_path(path), document) for path in paths)
