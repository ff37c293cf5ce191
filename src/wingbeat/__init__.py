"""Wingbeat: a workflow control plane that speaks the Flyte 2 API."""

__version__ = "0.1.0"
