"""The garbage collector of a server: what was loaded at the start stays, and is not looked at again."""

import gc

YOUNG = 20_000
"""Objects that may come before it looks at the young ones: some tens of requests."""
OLDER = 20
OLDEST = 50


def leave_what_is_loaded() -> None:
    """Collect once; then only what comes later. It is worth a tenth of the rate of CreateRun."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, OLDER, OLDEST)
