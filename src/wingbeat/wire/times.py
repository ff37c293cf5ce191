"""Moments: aware datetimes in UTC <-> Timestamp."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from wingbeat.errors import InvalidArgument


def to_proto(moment: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp


def maybe_to_proto(moment: datetime | None) -> Timestamp | None:
    return None if moment is None else to_proto(moment)


def from_proto(timestamp: Timestamp) -> datetime:
    """To the microsecond. Raises InvalidArgument for what no calendar has."""
    try:
        return timestamp.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(f"a timestamp is no moment of the years 1 to 9999: {error}") from error
