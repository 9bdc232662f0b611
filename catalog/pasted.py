"""Read the endpoint id out of what people paste: addresses of pages and calls, quotes, links."""

import re
from urllib.parse import parse_qs, unquote

# What is an id already, so that nothing is read out of it.
_PLAIN = re.compile(r"[A-Za-z0-9][\w.~-]*(?:/[A-Za-z0-9][\w.~-]*)+", re.ASCII)
_LINK = re.compile(r"\[[^\]]*\]\((?P<to>[^)\s]+)\)\Z")
_AROUND = "`'\"<>()[]{},;! \t\r\n"
_ADDRESS = re.compile(
    r"(?:(?:https?|wss?)://)?"
    r"(?P<host>(?:[a-z0-9-]+\.)*fal\.(?:ai|run))(?::\d+)?"
    r"(?=[/?#]|\Z)/*(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#.*)?\Z",
    re.IGNORECASE,
)
# What may be an id, and has parts that no id has.
_MORE = re.compile(
    r"\.\Z|\A(?:models|explore|dashboard)/|\A[\w.-]*fal\.(?:ai|run)/"
    r"|/(?:api|playground|llms\.txt|examples|requests)\Z",
    re.IGNORECASE,
)
# What stands before and behind the id in the addresses of pages.
_BEFORE = re.compile(r"(?:(?:explore|dashboard)/)?models/", re.IGNORECASE)
_BEHIND = re.compile(r"/(?:api|playground|llms\.txt|examples|requests)/*\Z", re.IGNORECASE)
_REQUEST = re.compile(r"(?P<app>.+)/requests/(?P<id>[\w.~-]+)(?:/[a-z]+)?\Z", re.ASCII)


def plain_id(text: str) -> str:
    """Return the bare endpoint id in *text*: blanks, quotes, slashes, hosts and pages removed.

    Pages of fal.ai are read through their query too, which may name the id; elsewhere a query
    stays, since a call would have taken it along: no id has one, so none is found.
    """
    if _PLAIN.fullmatch(text) and not _MORE.search(text):
        return text
    bare = text.strip()
    if link := _LINK.match(bare):
        bare = link["to"]
    bare = unquote(bare.strip(_AROUND))
    address = _ADDRESS.match(bare)
    if address is None:
        return _BEHIND.sub("", _BEFORE.sub("", bare.rstrip("."), count=1)).strip("/ ")
    query = address["query"] or ""
    if named := parse_qs(query).get("endpoint_id"):
        return named[0].strip("/ ")
    path = address["path"].strip("/ ")
    if path.lower() == "models":
        return ""
    path = _BEHIND.sub("", _BEFORE.sub("", path, count=1))
    is_call = address["host"].lower().endswith("fal.run")
    return f"{path}?{query}" if query and is_call else path


def misread(endpoint_id: str) -> tuple[str, str, str] | None:
    """Return what *endpoint_id*, a bare one, is instead of an id, the id in it, and what to do.

    None where it is an id like any other.
    """
    if found := _REQUEST.match(endpoint_id.partition("?")[0]):
        return "is the address of a request, not a model", found["app"], "list_jobs shows the jobs"
    for sign, name in (("?", "query"), ("#", "fragment")):
        bare, found_sign, _ = endpoint_id.partition(sign)
        bare = bare.strip("/ ")
        if found_sign and _PLAIN.fullmatch(bare):
            where = "inputs go into arguments, a webhook into webhook_url"
            return f"has a {name}, which no request takes along", bare, where
    return None
