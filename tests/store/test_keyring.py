from wingbeat.store import keyring
from wingbeat.store.database import Database


async def test_the_first_server_makes_a_secret_and_the_others_find_it(database: Database) -> None:
    assert await database.write(lambda tx: keyring.secret(tx, "signing", b"first")) == b"first"
    assert await database.write(lambda tx: keyring.secret(tx, "signing", b"second")) == b"first"
    assert await database.write(lambda tx: keyring.secret(tx, "other", b"third")) == b"third"
