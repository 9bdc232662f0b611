"""How large a model's weights are: by name where it is known, else by the size in its name."""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_DATA = Path(__file__).parent / "weights.json"
# Bytes of one parameter.
PRECISIONS: Mapping[str, float] = {
    "fp32": 4, "float32": 4, "fp16": 2, "float16": 2, "half": 2, "bf16": 2, "bfloat16": 2,
    "fp8": 1, "float8": 1, "int8": 1, "8-bit": 1, "8bit": 1, "int4": 0.5, "4-bit": 0.5,
    "4bit": 0.5, "nf4": 0.5, "fp4": 0.5, "nvfp4": 0.5,
}  # fmt: skip
# Words in a repository's name that tell of smaller parameters.
_SMALL = (
    (re.compile(r"awq|gptq|int4|4bit|nf4|w4a16|fp4|q4", re.IGNORECASE), 0.5),
    (re.compile(r"fp8|int8|8bit|w8a8|q8", re.IGNORECASE), 1.0),
)
_BILLIONS = re.compile(
    r"(?<![A-Za-z0-9.])(?:(\d{1,2})x)?(\d{1,4}(?:\.\d{1,3})?)[bB](?![A-Za-z0-9])"
)


def known_gigabytes(repository: str) -> float | None:
    """Return the gigabytes of a repository's weights as they are usually loaded, if known.

    ``Llama-3.1-8B`` holds 8 billion parameters of two bytes, unless its name says fewer bytes.
    The table is ours, from model cards; the rest is read off the name and so an estimate.
    """
    if repository in (table := _table()):
        return table[repository]
    found = _BILLIONS.search(repository.rpartition("/")[2])
    if found is None:
        return None
    experts = int(found[1]) if found[1] else 1
    width = next((size for word, size in _SMALL if word.search(repository)), 2.0)
    gigabytes = experts * float(found[2]) * width
    return gigabytes if 0 < gigabytes < 4_000 else None


@cache
def _table() -> Mapping[str, float]:
    return json.loads(_DATA.read_text("utf-8"))["gigabytes"]
