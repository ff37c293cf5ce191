"""Tags of nodes, and expressions that ask for them: `&` and, `|` or, `~` not; `~` binds tightest, `|` loosest."""

import re
from collections.abc import Callable, Collection, Iterable

Matches = Callable[[frozenset[str]], bool]

_OPERATORS = "&|~"
_TOKEN = re.compile(rf"[{_OPERATORS}]|[^\s{_OPERATORS}]+")
_NO_TAG = re.compile(rf"[\s{_OPERATORS}]|^$")


def checked(tags: Iterable[str] | None) -> frozenset[str]:
    """The tags, without doubles. Raises TypeError for one text, ValueError for a tag that no expression can name."""
    if isinstance(tags, str):
        raise TypeError(f"tags must be a collection of texts, not the str {tags!r}: use [{tags!r}]")
    for tag in (found := frozenset(tags or ())):
        if _NO_TAG.search(tag):
            raise ValueError(f"tag {tag!r} must have no spaces, none of {' '.join(_OPERATORS)}, and not be empty")
    return found


def expression(text: str) -> Matches:
    """What an expression asks of a node's tags; raises ValueError when it is empty or malformed."""
    tokens = _Tokens(text)
    wanted = _any_of(tokens)
    if tokens.next is not None:
        raise tokens.error("& or |")
    return wanted


class _Tokens:
    def __init__(self, text: str) -> None:
        self._text = text
        self._rest: list[str] = _TOKEN.findall(text)[::-1]

    @property
    def next(self) -> str | None:
        return self._rest[-1] if self._rest else None

    def take(self, token: str) -> bool:
        if self.next != token:
            return False
        self._rest.pop()
        return True

    def take_tag(self) -> str:
        if self.next is None or self.next in _OPERATORS:
            raise self.error("a tag")
        return self._rest.pop()

    def error(self, wanted: str) -> ValueError:
        found = "ends" if self.next is None else f"has {self.next!r}"
        return ValueError(f"tag expression {self._text!r} {found} where {wanted} is wanted")


def _any_of(tokens: _Tokens) -> Matches:
    parts = _separated(tokens, "|", _all_of)
    return lambda tags: any(part(tags) for part in parts)


def _all_of(tokens: _Tokens) -> Matches:
    parts = _separated(tokens, "&", _one)
    return lambda tags: all(part(tags) for part in parts)


def _separated(tokens: _Tokens, operator: str, operand: Callable[[_Tokens], Matches]) -> Collection[Matches]:
    parts = [operand(tokens)]
    while tokens.take(operator):
        parts.append(operand(tokens))
    return parts


def _one(tokens: _Tokens) -> Matches:
    if tokens.take("~"):
        negated = _one(tokens)
        return lambda tags: not negated(tags)
    tag = tokens.take_tag()
    return lambda tags: tag in tags
