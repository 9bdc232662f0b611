"""`Secrets`: values by name for apps that list them, kept in the home for its owner only."""

import time
from collections.abc import Collection, Mapping, Sequence

from pydantic import SecretStr

from catalog.errors import ActionableError
from server.deploy.local.database import Database


class Secrets:
    """Secrets. Methods are synchronous: call them through `Database.do`.

    *listed* are the names that a person lets apps have now, whatever is kept from before.
    """

    def __init__(self, database: Database, listed: Collection[str]) -> None:
        self._database = database
        self._listed = listed

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
        """Return the values of those of *names* that are kept.

        Raises:
            ActionableError: one is kept, but no longer among those that apps may have.
        """
        found = self._database.reading().execute("SELECT name, value FROM secrets").fetchall()
        kept = {line["name"]: line["value"] for line in found if line["name"] in names}
        if gone := sorted(kept.keys() - set(self._listed)):
            raise ActionableError(
                f"not started: FALKIT_DEPLOY_SECRETS no longer lists {', '.join(gone)}, which its "
                "code asks for",
                hint="a person lists it there again, or the code does without it",
            )
        return {name: SecretStr(value) for name, value in kept.items()}
