"""Scheduled DAGs inside your own process, without a server: `pip install wingbeat` is all that this needs.

Its one rule: the same core decides as in the server; here are the names that people write.
"""

from wingbeat.compose.methods import Method, MethodDict, MethodInterface, ParamInfo

__all__ = ["Method", "MethodDict", "MethodInterface", "ParamInfo"]
