"""The command line: the only room that prints."""

import sys
from collections.abc import Callable, Sequence


def command(argv: Sequence[str]) -> Callable[[], None]:
    """Return what *argv* asks for, with everything it needs already imported.

    `serve` is what hosts start and must be quick: it is parsed without the library that reads all
    other commands.
    """
    if argv[:1] == ["serve"]:
        from server.cli.serve import serving

        return serving(argv[1:])
    from server.cli.person import person

    return lambda: person(list(argv))


def fail(words: str, code: int = 2) -> None:
    """Print *words* on stderr and leave with *code*."""
    from server.cli.folding import folded

    print(folded(f"falkit: {words}", stream=sys.stderr), file=sys.stderr)
    raise SystemExit(code)
