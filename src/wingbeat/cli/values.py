"""Moments and durations as people type them, RFC 3339 and Go's `1h30m`, and as the API has them."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import rich_click as click

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.timestamp_pb2 import Timestamp

_EXAMPLES = "such as 2026-03-01T08:00:00Z, 2026-03-01T08:00:00+01:00 or 2026-03-01 for midnight in UTC"


def stamp(at: datetime | None) -> "Timestamp | None":
    from google.protobuf.timestamp_pb2 import Timestamp

    if at is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(at.astimezone(UTC))
    return stamp


def length_of(value: timedelta) -> "Duration":
    from google.protobuf.duration_pb2 import Duration

    length = Duration()
    length.FromTimedelta(value)
    return length


class _Instant(click.ParamType[datetime]):
    name = "INSTANT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no instant, {_EXAMPLES}", param, ctx)
        if moment.tzinfo is None:
            if len(value) > len("2026-03-01"):
                self.fail(f"{value!r} has no offset: write it {_EXAMPLES}", param, ctx)
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)


class _Duration(click.ParamType[timedelta]):
    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        from wingbeat.core.cron_syntax import duration

        length = duration(value)
        if length is None or length <= timedelta():
            self.fail(f"{value!r} is no duration such as 90s, 15m or 1h30m", param, ctx)
        return length


class _Age(_Duration):
    name = "AGE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        days = re.fullmatch(r"([0-9]{1,5})d", str(value))
        return timedelta(days=int(days[1])) if days else super().convert(value, param, ctx)


class _Pair(click.ParamType[tuple[str, str]]):
    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        name, equals, text = str(value).partition("=")
        if not name or not equals:
            self.fail(f"{value!r} is not of the form NAME=VALUE", param, ctx)
        return name, text


INSTANT, DURATION, AGE, PAIR = _Instant(), _Duration(), _Age(), _Pair()
