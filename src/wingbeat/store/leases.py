"""Rows of `lease`: work that one node at a time may do, by name. The token grows with each new holder."""

from datetime import timedelta

from wingbeat.store.database import Transaction, to_micros


async def acquire(tx: Transaction, name: str, holder: str, lease: timedelta) -> int | None:
    """The token of `holder`, who has the lease from now on and for `lease`; None while somebody else has it.

    Calling again renews it under the same token, unless somebody else had it in between.
    """
    row = await tx.fetchrow(
        """
        INSERT INTO lease (name, holder, token, lease_until)
        VALUES ($1, $2, 1, $3)
        ON CONFLICT (name) DO UPDATE
           SET token = CASE WHEN lease.holder = excluded.holder THEN lease.token ELSE lease.token + 1 END,
               holder = excluded.holder,
               lease_until = excluded.lease_until
         WHERE lease.holder = excluded.holder OR lease.lease_until <= $4
        RETURNING token
        """,
        name,
        holder,
        to_micros(tx.now + lease),
        to_micros(tx.now),
    )
    return row["token"] if row else None
