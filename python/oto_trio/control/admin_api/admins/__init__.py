"""Administrators: their passwords, their sessions, and the paths where they log in and are kept."""

from oto_trio.control.admin_api.admins.cookies import SessionCookie, is_own_request
from oto_trio.control.admin_api.admins.sessions import Sessions

__all__ = ["SessionCookie", "Sessions", "is_own_request"]
