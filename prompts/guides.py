"""The guides: how to do a thing well, a page each, read when someone asks for them."""

from pathlib import Path

from prompts.library import Library

TEXTS = Path(__file__).parent / "guides"
NAMES = (
    "choose-a-model",
    "what-things-cost",
    "long-jobs",
    "prompts-for-pictures",
    "prompts-for-video",
    "editing",
    "failures",
    "webhooks-and-code",
    "keys-and-safety",
    "deploying",
)

GUIDES = Library(NAMES, TEXTS)
