"""Job ids: they sort by time and are short enough to say."""

import secrets

# Crockford's base 32: no i, l, o, u, so that an id survives being read aloud.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_LETTERS = 9  # 45 bits of milliseconds, enough until the year 3084
_RANDOM_LETTERS = 2
_MISREAD = str.maketrans({"i": "1", "l": "1", "o": "0"})


def new_job_id(at: int) -> str:
    """Return an id of 11 letters for *at*, milliseconds since 1970.

    Ids of one millisecond differ by chance only (1 in 1,024): draw again when one is taken.
    """
    return time_letters(at) + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LETTERS))


def time_letters(at: int) -> str:
    """Return how ids of *at*, milliseconds since 1970, begin; earlier ids sort before it."""
    places = reversed(range(_TIME_LETTERS))
    return "".join(_ALPHABET[(at >> (5 * place)) & 31] for place in places)


def spoken(job_id: str) -> str:
    """Return *job_id* as it is stored, whatever case, blanks or misread letters it came with."""
    return job_id.strip().strip("`'\"").lower().translate(_MISREAD)
