"""`falkit view`: what a model would see of a file or a job, in a picture that a person can open."""

from pathlib import Path

from catalog.errors import ActionableError
from server.cli import interrupting
from server.cli.speaking import ASKED_BY, here, print_answer
from server.rooms import open_rooms
from tools.ports import Call, Picture
from tools.tool import Answer, Result
from tools.view_media import ViewArguments, view_media


class Seen(Result):
    """What is known of the media, and the files that show it."""

    text: str
    files: list[str]


def write_view(media: str, to: str, frames: int, *, as_json: bool) -> None:
    """Write the picture of *media* to the file *to*, and print what is known of it and where it is.

    Raises:
        ActionableError: the media cannot be seen, or the file cannot be written.
    """
    answer = interrupting.run(_view, ViewArguments(media=media, frames=frames))
    files = [
        _written(picture, _numbered(Path(to).expanduser(), number))
        for number, picture in enumerate(answer.pictures, 1)
    ]
    seen = Seen(text=answer.text, files=[str(path) for path in files])
    words = [answer.text, *(f"to be seen in {path.absolute()}" for path in files)]
    print_answer(Answer(seen, "\n".join(words)), as_json=as_json, exact=True)


def _numbered(path: Path, number: int) -> Path:
    return path if number == 1 else path.with_stem(f"{path.stem}-{number}")


def _written(picture: Picture, path: Path) -> Path:
    """Write *picture* beside *path*, with the ending of its own kind."""
    ending = picture.media_type.rpartition("/")[2].replace("jpeg", "jpg")
    path = path.with_suffix(f".{ending}")
    try:
        path.write_bytes(picture.data)
    except OSError as problem:
        raise ActionableError(
            f"{str(path)!r} cannot be written: {problem.strerror}",
            hint="name another with --to",
        ) from problem
    return path


async def _view(given: ViewArguments) -> Answer:
    async with open_rooms(here()) as rooms:
        return await view_media(Call(rooms, asked_by=ASKED_BY), given)
