"""`Secrets`: values by name for apps that list them, kept in the home for its owner only."""

import time
from collections.abc import Mapping, Sequence

from pydantic import SecretStr

from server.deploy.local.database import Database


class Secrets:
    """Secrets. Methods are synchronous: call them through `Database.do`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, name: str, value: SecretStr) -> None:
        """Keep *value* under *name*, in the place of an earlier one."""
        with self._database.writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO secrets VALUES (?, ?, ?)",
                (name, value.get_secret_value(), time.time()),
            )

    def names(self) -> list[str]:
        """Return the names that are kept, sorted."""
        found = self._database.reading().execute("SELECT name FROM secrets ORDER BY name")
        return [line["name"] for line in found]

    def of(self, names: Sequence[str]) -> Mapping[str, SecretStr]:
        """Return the values of those of *names* that are kept."""
        found = self._database.reading().execute("SELECT name, value FROM secrets").fetchall()
        return {line["name"]: SecretStr(line["value"]) for line in found if line["name"] in names}
