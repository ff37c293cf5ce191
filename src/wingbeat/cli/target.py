"""Which server a command talks to, and in which project and domain: options, the environment, the SDK's file, defaults.

The file is looked for where the SDK looks, so that both talk to the same server.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from wingbeat.config import variables
from wingbeat.core.addresses import is_loopback
from wingbeat.errors import InvalidArgument, Unavailable

DEFAULT_URL = "http://127.0.0.1:8080"
SECONDS = 5
SDK_FILE = Path(".flyte/config.yaml")


@dataclass(frozen=True, slots=True)
class Target:
    url: str
    """Without a slash at its end."""
    project: str
    domain: str
    token: str | None = field(default=None, repr=False)
    """What is shown to a server that wants to know who calls."""

    @property
    def scope(self) -> str:
        return f"{self.project}/{self.domain}"


def find_target(*, url: str | None, project: str | None, domain: str | None) -> Target:
    """What is None comes from the SDK's file, then from the server itself. Raises InvalidArgument, Unavailable."""
    admin, task = (_section(name) for name in ("admin", "task"))
    url = checked_url(url or _url(admin) or DEFAULT_URL)
    token = _token(url)
    project, domain = project or task.get("project"), domain or task.get("domain")
    if not project or not domain:
        known = ask(url)
        project, domain = project or known["project"], domain or known["domain"]
    return Target(url, str(project), str(domain), token)


def checked_url(url: str) -> str:
    """Raises InvalidArgument."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise InvalidArgument(f"{url!r} is no URL of a server, such as {DEFAULT_URL}")
    return url.rstrip("/")


def ask(url: str) -> dict[str, Any]:
    """What the server says its clients should know: `project`, `domain`, `environment`. Raises Unavailable."""
    parts = urlsplit(checked_url(url))
    connect = HTTPConnection if parts.scheme == "http" else HTTPSConnection
    connection = connect(parts.netloc, timeout=SECONDS)
    try:
        connection.request("GET", "/wingbeat/config")
        answer = connection.getresponse()
        if answer.status != HTTPStatus.OK:
            raise Unavailable(f"{url} is not a Wingbeat server: it answered {answer.status}")
        return json.load(answer)
    except (OSError, HTTPException, ValueError) as error:
        raise no_answer(url, error) from error
    finally:
        connection.close()


def no_answer(url: str, why: object) -> Unavailable:
    return Unavailable(
        f"no Wingbeat server answers at {url} ({why}): start one with `wingbeat serve`, or name another with --url"
    )


def _token(url: str) -> str | None:
    """Raises InvalidArgument: others would read it on its way."""
    token, parts = os.environ.get(variables.BEARER) or None, urlsplit(url)
    in_clear = parts.scheme == "http" and not is_loopback(parts.hostname or "")
    if token and in_clear and not os.environ.get(variables.BEARER_IN_CLEAR):
        raise InvalidArgument(
            f"{variables.BEARER} is not sent to {url}: over plain http everybody on the way reads it; use https, or set"
            f" {variables.BEARER_IN_CLEAR}=1 where you trust the network"
        )
    return token


def _section(name: str) -> Mapping[str, Any]:
    """Of the first file of the SDK that there is."""
    path = next((path for path in _sdk_files() if path.is_file()), None)
    if path is None:
        return {}
    import yaml

    try:
        content: object = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())
        raise InvalidArgument(f"the SDK's configuration {str(path)!r} cannot be read: {why}") from error
    section = cast("Mapping[str, object]", content).get(name) if isinstance(content, dict) else None
    return cast("Mapping[str, Any]", section) if isinstance(section, dict) else {}


def _sdk_files() -> Iterator[Path]:
    yield Path("config.yaml")
    yield SDK_FILE
    yield from [directory / SDK_FILE for directory in Path.cwd().parents if (directory / ".git").exists()][:1]
    yield from (Path(os.environ[name]) for name in ("UCTL_CONFIG", "FLYTECTL_CONFIG") if os.environ.get(name))
    yield Path.home() / ".union" / "config.yaml"
    yield Path.home() / SDK_FILE


def _url(admin: Mapping[str, Any]) -> str | None:
    endpoint = str(admin.get("endpoint") or "").removeprefix("dns:///")
    if not endpoint or "://" in endpoint:
        return endpoint or None
    return f"{'http' if admin.get('insecure') else 'https'}://{endpoint}"
