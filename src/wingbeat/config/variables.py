"""The environment variables that are not settings of the server. Every other WINGBEAT_ variable is one."""

PREFIX = "WINGBEAT_"

FILE = "WINGBEAT_CONFIG"
"""The file of settings, when no flag names one."""

URL = "WINGBEAT_URL"
PROJECT = "WINGBEAT_PROJECT"
DOMAIN = "WINGBEAT_DOMAIN"
"""What commands that talk to a server use when no option says otherwise."""

BEARER = "WINGBEAT_TOKEN"
"""The bearer token that those commands show."""

BEARER_IN_CLEAR = "WINGBEAT_TOKEN_IN_CLEAR"
"""Anything but nothing: over plain HTTP, too."""

NOT_SETTINGS = frozenset({FILE, URL, PROJECT, DOMAIN, BEARER, BEARER_IN_CLEAR})
