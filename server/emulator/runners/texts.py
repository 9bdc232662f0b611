"""Prose that says in its first words that it is a local preview."""

from server.emulator.runners.request import Request

LEAD = "Local preview:"


def prose(request: Request, name: str) -> str:
    """Return a text for the output field *name*."""
    del name
    return f"{LEAD} {request.card.title} would answer here to {request.text[:200]!r}."
