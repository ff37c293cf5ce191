"""The secrets that all servers of one database share: whoever starts first makes them, the others find them."""

from wingbeat.store.database import Transaction, to_micros


async def secret(tx: Transaction, name: str, candidate: bytes) -> bytes:
    """The secret called `name`, which is `candidate` if there was none."""
    await tx.execute(
        "INSERT INTO keyring (name, value, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
        name,
        candidate,
        to_micros(tx.now),
    )
    found = await tx.fetch("SELECT value FROM keyring WHERE name = $1", name)
    return bytes(found[0]["value"])
