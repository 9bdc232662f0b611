"""Local files among the arguments of written code, and the lines that upload them."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

# Stands in JSON text where an upload goes. No argument can hold the sign that it begins with.
_MARK = "\0upload "
# As it is written in JSON.
MARK_IN_JSON = "\\u0000upload "
_TS_IMPORT = 'import { fal } from "@fal-ai/client";\n'
_NODE = """\
import { readFile } from "node:fs/promises";
import { basename } from "node:path";

const upload = async (path: string, type: string) =>
  fal.storage.upload(new File([await readFile(path)], basename(path), { type }));
"""
_SHELL = """\
set -e
ask() { curl -sS --fail-with-body "$@"; }
field() { sed -n 's/.*"'"$1"'": *"\\([^"]*\\)".*/\\1/p'; }
upload() { # path, media type, name as JSON
  PLACE=$(ask -X POST "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3" \\
    -H "Authorization: Key $FAL_KEY" -H "Content-Type: application/json" \\
    -d '{"content_type":"'"$2"'","file_name":'"$3"'}')
  ask -X PUT "$(printf '%s' "$PLACE" | field upload_url)" -H "Content-Type: $2" \\
    --data-binary "@$1" >&2
  printf '%s' "$PLACE" | field file_url
}
"""


def visible(text: str) -> str:
    """Return *text*, which is JSON, with signs that cannot be seen in it as their numbers.

    They would let code look otherwise than it is read. Python reads them as JSON does, up to the
    last of the first plane.
    """
    return "".join(
        sign if sign.isprintable() or sign == "\n" or ord(sign) > 0xFFFF else f"\\u{ord(sign):04x}"
        for sign in text
    )


@dataclass(frozen=True, slots=True)
class Upload:
    """A local file that a program uploads: its *path* as the program sees it, and its type.

    Its `repr` is the Python that does it.
    """

    path: str
    media_type: str

    def __repr__(self) -> str:
        return f"fal_client.upload_file({visible(json.dumps(self.path, ensure_ascii=False))})"


def uploads_in(value: object) -> list[Upload]:
    """Return the uploads in arguments, each once, in the order in which they stand."""
    if isinstance(value, Upload):
        return [value]
    inner: list[object] = []
    if isinstance(value, Mapping):
        inner = list(cast("Mapping[str, object]", value).values())
    elif isinstance(value, list):
        inner = cast("list[object]", value)
    return list(dict.fromkeys(upload for one in inner for upload in uploads_in(one)))


def _named(upload: Upload) -> str:
    """Return the name of an upload's file as JSON, quoted for a shell."""
    return shlex.quote(json.dumps(upload.path.rpartition("/")[2]))


def marked(value: object) -> str:
    """Return what stands for *value*, an upload, in JSON text; `with_uploads` replaces it.

    Raises:
        TypeError: *value* is nothing that JSON has, and no upload.
    """
    if isinstance(value, Upload):
        return f"{_MARK}{json.dumps([value.path, value.media_type])}"
    raise TypeError(f"{type(value).__name__} is no value of JSON")


def with_uploads(code: str, uploads: Sequence[Upload], language: str, *, browser: bool) -> str:
    """Return *code* with the lines that upload, and their results where the marks stand.

    In a *browser*, files are those that a person picks, in the order of *uploads*.
    """
    if language == "python":
        return code
    for number, upload in enumerate(uploads):
        mark = json.dumps(marked(upload), ensure_ascii=False)
        if language == "curl":
            code = code.replace(shlex.quote(mark)[1:-1], f'"\'"$FILE_{number + 1}"\'"')
        elif browser:
            code = code.replace(mark, f"await fal.storage.upload(picked[{number}])")
        else:
            path, kind = json.dumps(upload.path), json.dumps(upload.media_type)
            code = code.replace(mark, f"await upload({path}, {kind})")
    if language == "curl":
        lines = [
            f"FILE_{number}=$(upload {shlex.quote(one.path)} {one.media_type} {_named(one)})\n"
            for number, one in enumerate(uploads, 1)
        ]
        return f"{_SHELL}{''.join(lines)}{code}"
    if browser:
        names = ", ".join(json.dumps(upload.path) for upload in uploads)
        picked = 'document.querySelector<HTMLInputElement>("input[type=file]")!.files!'
        head = f"\nconst picked = {picked}; // in the place of {names}\n"
        return code.replace("\nconst input =", f"{head}const input =", 1)
    return code.replace(_TS_IMPORT, f"{_TS_IMPORT}{_NODE}", 1)
