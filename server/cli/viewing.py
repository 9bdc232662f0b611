"""`falkit view`: what a model would see of a file or a job, in a picture that a person can open."""

import os
from pathlib import Path

import anyio

from catalog.errors import ActionableError
from server.cli.speaking import ASKED_BY
from server.rooms import open_rooms
from server.settings import Settings
from tools.ports import Call
from tools.tool import Answer
from tools.view_media import ViewArguments, view_media


def write_view(media: str, to: str, frames: int) -> None:
    """Write the picture of *media* to the file *to*, and print what is known of it.

    Raises:
        ActionableError: the media cannot be seen, or the file cannot be written.
    """
    answer = anyio.run(_view, ViewArguments(media=media, frames=frames))
    print(answer.text)
    for number, picture in enumerate(answer.pictures):
        ending = picture.media_type.rpartition("/")[2].replace("jpeg", "jpg")
        path = Path(to).expanduser()
        name = path.stem if number == 0 else f"{path.stem}-{number + 1}"
        path = path.with_name(f"{name}.{ending}")
        try:
            path.write_bytes(picture.data)
        except OSError as problem:
            raise ActionableError(
                f"{str(path)!r} cannot be written: {problem.strerror}",
                hint="name another with --to",
            ) from problem
        print(path)


async def _view(given: ViewArguments) -> Answer:
    async with open_rooms(Settings.read(os.environ)) as rooms:
        return await view_media(Call(rooms, asked_by=ASKED_BY), given)
