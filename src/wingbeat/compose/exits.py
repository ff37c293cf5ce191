"""`sys.exit()` in code that is run for somebody else: a failure of that call, and not the end of the program around it.

An `asyncio` task that raises SystemExit ends its event loop with all that goes on there, so it must not get that far.
"""


def exit_error(who: str, end: SystemExit) -> RuntimeError:
    """What to raise instead of it."""
    return RuntimeError(f"{who} called sys.exit({'' if end.code is None else repr(end.code)})")
