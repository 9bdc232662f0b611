"""What a shell offers behind a half typed word, once `falkit --install-completion` taught it."""

import os

from catalog.errors import ActionableError

MOST = 60


def model_ids(incomplete: str) -> list[str]:
    """Return the ids of models that begin so, the first of them."""
    from server.rooms import open_catalog
    from server.settings import Settings

    try:
        ids = open_catalog(Settings.read(os.environ))[0].ids
    except (ActionableError, OSError):  # the command itself will say what is wrong
        return []
    return [each for each in ids if each.startswith(incomplete)][:MOST]


def host_names(incomplete: str) -> list[str]:
    """Return the hosts of `falkit install` that begin so."""
    from server.cli.install import HOSTS

    return [name for name in HOSTS if name.startswith(incomplete)]
