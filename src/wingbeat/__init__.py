"""Wingbeat: a workflow control plane that speaks the Flyte 2 API."""

__version__ = "0.1.0"

_LENT = {
    "GlobalRef": "wingbeat.compose.refs",
    "ModuleRef": "wingbeat.compose.refs",
    "NsRef": "wingbeat.compose.refs",
    "Result": "wingbeat.compose.result",
    "utc_now": "wingbeat.compose.result",
}
"""Names that belong to a module of ours, imported when somebody asks; `__init__.pyi` says their types."""


def __getattr__(name: str) -> object:
    if name not in _LENT:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LENT[name]), name)
