"""Join a title with its variant so that nothing is said twice."""

import re
from collections.abc import Mapping

_SHORT: Mapping[str, str] = {
    "i2v": "image to video", "t2v": "text to video", "v2v": "video to video",
    "t2i": "text to image", "i2i": "image to image", "std": "standard",
    "flfv": "first frame last frame to video",
}  # fmt: skip
_GROUP = re.compile(r"\s*[\[(]([^\])]*)[\])]")
_VERSION = re.compile(r"(?<!\S)v?\d+(?:\.\d+)*(?!\S)")


def joined(title: str, variant: str) -> str:
    """Return ``title: variant`` without what *variant* repeats; one of them where it says all."""
    said = set(_words(title))
    left, dashes, right = variant.partition(" --")
    if dashes and set(_words(left)) <= said:
        variant = right.strip()
    variant = _GROUP.sub(lambda group: "" if set(_words(group[1])) <= said else group[0], variant)
    told = _words(variant)
    if set(told) <= said or _squeezed(variant) in _squeezed(title):
        return title
    if said <= set(told):
        return variant.strip()
    first, second = title.split(), variant.split()
    for shared in range(min(len(first), len(second)), 0, -1):
        if [_squeezed(w) for w in first[-shared:]] == [_squeezed(w) for w in second[:shared]]:
            return " ".join([*first, *second[shared:]])
    bare = _VERSION.sub(lambda v: "" if set(_words(v[0])) <= said else v[0], variant)
    return f"{title}: {' '.join(bare.split())}"


def _words(text: str) -> list[str]:
    words = re.findall(r"[a-z0-9.]+", text.lower())
    spelled = " ".join(_SHORT.get(word, word) for word in words).split()
    return [re.sub(r"\Av(?=\d)|\.0\Z|\.\Z", "", word) for word in spelled]


def _squeezed(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
