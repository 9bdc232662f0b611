"""`falkit code`: code is code, wherever it goes."""

import sys

from server.cli import interrupting
from server.cli.folding import folded
from server.cli.letters import write_utf_8
from server.cli.speaking import answer_of, print_json
from server.cli.spoken import for_person
from tools.write_code import WRITE_CODE, CodeArguments, WrittenCode


def print_code(given: CodeArguments, *, as_json: bool) -> None:
    """Print the code alone on standard output, and what else is to know of it on stderr.

    So `falkit code MODEL > program.py` writes a program. It is JSON only where that is asked for.
    """
    written = interrupting.run(answer_of, WRITE_CODE, given).result
    assert isinstance(written, WrittenCode)  # noqa: S101  # the tool answers with nothing else
    if as_json:
        print_json(written.model_dump(mode="json", exclude_defaults=True))
        return
    if not sys.stdout.isatty():
        write_utf_8()
    print(written.code.rstrip("\n"), flush=True)
    install = [f"install: {written.install}"] if written.install else []
    told = folded("\n".join([*install, *written.notes]), stream=sys.stderr)
    if told:
        print(f"\n{for_person(told)}" if sys.stdout.isatty() else for_person(told), file=sys.stderr)
