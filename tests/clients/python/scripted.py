# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
"""What a scripted model says next, whatever framework asks: it reads only what it was shown."""

import json
import re

ID = re.compile(r"\b[a-z0-9-]+/[a-zA-Z0-9._/-]*[a-zA-Z0-9]")
JOB = re.compile(r"\b[0-9a-hjkmnp-tv-z]{11}\b")


def step(shown):
    """Return the next call (name, arguments) after the tool results *shown*, or what is said last.

    *shown* holds what each call so far returned, as the framework would send it to a model.
    """
    texts = [each if isinstance(each, str) else json.dumps(each, default=str) for each in shown]
    if not texts:
        return "search_models", {"query": "a fast cheap picture from text", "limit": 3}
    model = ID.search(texts[0]).group()
    asked = {"endpoint_id": model, "arguments": {"prompt": "a fox"}}
    if len(texts) == 1:
        return "estimate_cost", asked
    if len(texts) == 2:
        return "generate", asked
    job = JOB.search(texts[2]).group()
    if len(texts) == 3:
        return "view_media", {"media": job}
    if len(texts) == 4:
        return "job_status", {"job_id": job}
    return json.dumps({"model": model, "job": job, "price": texts[1][:200], "last": texts[4][:400]})
