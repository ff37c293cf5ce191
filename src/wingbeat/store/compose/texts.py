"""Text that a file can hold: what Python has and UTF-8 has not, as in odd names of files, becomes its escape.

In JSON the escape is the same text again.
"""


def storable(text: str) -> str:
    """The text itself, unless it has half of a surrogate pair: that is written as `\\udcff`."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def is_storable(text: str) -> bool:
    """Whether it is read back as it is."""
    return storable(text) == text
