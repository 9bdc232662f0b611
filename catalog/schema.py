"""Hold arguments against a card's input schema, and explain what is wrong."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

from catalog.card import ModelCard
from catalog.convert import is_list, is_object
from catalog.errors import ArgumentsError
from catalog.nearest import nearest_name
from catalog.reading import MediaUse, Path, Reader, dotted, resolved, takes_null
from catalog.saying import named, shown

__all__ = ["Checked", "MediaUse", "Path", "check", "dotted", "with_defaults", "with_media"]

_DEEPEST = 40


@dataclass(frozen=True, slots=True)
class Checked:
    """Arguments that fit a card, as they would be sent; defaults only of what is required.

    *repairs* are sentences about what was read differently from what was given.
    """

    arguments: dict[str, Any]
    repairs: tuple[str, ...]
    media: tuple[MediaUse, ...]


def check(
    card: ModelCard, arguments: Mapping[str, object], *, prompt: str = "", whole: bool = True
) -> Checked:
    """Return *arguments* as *card* takes them, with everything in them that is media.

    With *whole* false, required inputs may be absent: a price can be asked before a text exists.
    *prompt* goes to the field that the card names for its main text. Values are converted only
    where nothing can be lost. Where little is known of the schema, unknown names pass and the
    repairs say so.

    Raises:
        ArgumentsError: with every problem found, not only the first.
    """
    reader = Reader(card.input_schema)
    given = _with_prompt(card, arguments, prompt, reader)
    if not card.properties:
        checked = {name: reader.pass_on(value, (name,)) for name, value in given.items()}
    else:
        checked = _read_fields(card, given, reader, whole=whole)
    if reader.problems:
        raise ArgumentsError(card.endpoint_id, reader.problems)
    return Checked(checked, tuple(reader.repairs), tuple(reader.media))


def with_media(arguments: Mapping[str, Any], urls: Mapping[Path, object]) -> dict[str, Any]:
    """Return a copy of *arguments* with each URL of *urls* at its path; the rest is shared."""
    result: dict[str, Any] = dict(arguments)
    for path, url in urls.items():
        holder: Any = result
        for step in path[:-1]:
            inner = holder[step]
            # Copied level by level, so that the caller's own objects stay as they are.
            holder[step] = dict(cast("Any", inner)) if isinstance(inner, dict) else list(inner)
            holder = holder[step]
        holder[path[-1]] = url
    return result


def with_defaults(card: ModelCard, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return *arguments* with the schema's defaults for every field that is not given.

    Nested objects that are given are filled as well; fields without a default stay absent.
    """
    filled = _filled(card.input_schema, card.input_schema, dict(arguments), 0)
    return cast("dict[str, Any]", filled)


def _with_prompt(
    card: ModelCard, arguments: Mapping[str, object], prompt: str, reader: Reader
) -> dict[str, object]:
    """Return *arguments* with the main text under the name that *card* has for it."""
    given = dict(arguments)
    target = card.text_field or ("" if card.completeness == "full" else "prompt")
    if target == "text" and given.get("text") and "prompt" in card.properties:
        target = "prompt"  # the text is there already, so this is how it is to be spoken
    if "prompt" in given and card.text_field and "prompt" not in card.properties:
        text = given.pop("prompt")
        if isinstance(text, str) and prompt and text != prompt:
            reader.refuse(("prompt",), text, "differs from the prompt given beside the arguments")
        elif isinstance(text, str):
            prompt = text
    if not prompt:
        return given
    if not target:
        reader.refuse(("prompt",), prompt, f"{card.endpoint_id} takes no text; leave it out")
    elif target in given and given[target] is not None and given[target] != prompt:
        reader.refuse((target,), given[target], "differs from the prompt; give only one of them")
    else:
        if target != "prompt":
            reader.repairs.append(f"prompt: given as {target}")
        given[target] = prompt
    return given


def _read_fields(
    card: ModelCard, given: Mapping[str, object], reader: Reader, *, whole: bool
) -> dict[str, object]:
    """Read the top level, where how much is known of the schema decides how strict to be."""
    known = card.properties
    result: dict[str, object] = {}
    for name, value in given.items():
        schema = known.get(name)
        if schema is None:
            if card.completeness == "full":
                rule = f"is not a parameter of {card.endpoint_id}"
                reader.unknown((name,), rule, known, isinstance(value, bool))
                continue
            result[name] = reader.pass_on(value, (name,))
            near = nearest_name(name, known.keys())
            hint = f" (known here: {near})" if near else ""
            reader.repairs.append(
                f"{named(name)}: not in the schema known here; passed on as given{hint}"
            )
        elif value is None and not takes_null(reader.root, schema):
            if name in card.required:
                reader.refuse((name,), None, "is required")
            else:
                reader.repairs.append(f"{named(name)}: null dropped")
        elif card.completeness == "names":
            result[name] = _read_leniently(schema, value, name, reader)
        else:
            result[name] = reader.read(schema, value, (name,))
    for name in card.required if whole else ():
        if name in given:
            continue
        schema = known.get(name, {})
        if schema.get("default") is None:
            reader.missing(schema, (name,))
        else:  # a few schemas require what they have a default for: it is sent, and said
            result[name] = deepcopy(schema["default"])
            reader.repairs.append(f"{named(name)}: {shown(result[name])} sent, its default")
    return result


def _read_leniently(schema: Mapping[str, Any], value: object, name: str, reader: Reader) -> object:
    """Read *value* where the type is only what other models have under that name."""
    trial = Reader(reader.root)
    now = trial.read(schema, value, (name,))
    if not trial.problems:
        reader.adopt(trial)
        return now
    rules = "; ".join(f"{problem.path} {problem.rule}" for problem in trial.problems[:2])
    reader.repairs.append(
        f"{named(name)}: {shown(value)} passed on as given, though elsewhere {rules}"
    )
    return reader.pass_on(value, (name,))


def _filled(
    root: Mapping[str, Any], schema: Mapping[str, Any], value: object, depth: int
) -> object:
    """Return *value* with the defaults of *schema* for the fields it leaves out, as a copy."""
    schema = resolved(root, schema)
    branches: Sequence[Mapping[str, Any]] = schema.get("anyOf") or schema.get("oneOf") or ()
    if is_object(value) and depth < _DEEPEST:
        known = _properties(root, schema, branches)
        filled = {
            name: _filled(root, known.get(name, {}), entry, depth + 1)
            for name, entry in value.items()
        }
        for name, inner in known.items():
            if name not in filled and "default" in inner:
                filled[name] = deepcopy(inner["default"])
        return filled
    if is_list(value) and depth < _DEEPEST:
        items: Mapping[str, Any] = schema.get("items") or {}
        return [_filled(root, items, entry, depth + 1) for entry in value]
    return value


def _properties(
    root: Mapping[str, Any], schema: Mapping[str, Any], branches: Sequence[Mapping[str, Any]]
) -> Mapping[str, Mapping[str, Any]]:
    """Return the fields of an object schema, also where it is one branch of a union."""
    if "properties" in schema:
        return schema["properties"]
    for branch in branches:
        inner = resolved(root, branch)
        if "properties" in inner:
            return inner["properties"]
    return {}
