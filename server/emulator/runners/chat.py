"""Answers in the shapes of the OpenAI API, which some endpoints speak."""

from typing import Any, cast

from server.emulator.runners.request import Request


def answer(request: Request) -> dict[str, Any] | None:
    """Return the answer of an endpoint that speaks the OpenAI API, or None for all others."""
    name = request.task.endpoint_id
    if "/openai/v1/" not in name:
        return None
    from server.emulator.runners.texts import LEAD

    words = _asked(request)
    told = f"{LEAD} the embedded platform has no language model; it read {len(words)} words."
    model = str(request.arguments.get("model") or "local-preview")
    identifier = f"local-preview-{request.chance('id').randrange(16**10):010x}"
    if name.endswith("embeddings"):
        return _embeddings(request, model)
    usage = {"prompt_tokens": len(words), "completion_tokens": len(told.split())}
    if name.endswith("responses"):
        content: list[dict[str, Any]] = [{"type": "output_text", "text": told, "annotations": []}]
        message: dict[str, Any] = {
            "type": "message",
            "role": "assistant",
            "content": content,
            "status": "completed",
        }
        return {
            "id": identifier,
            "object": "response",
            "status": "completed",
            "model": model,
            "output": [{"id": f"{identifier}-1", **message}],
        }
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": told},
        "finish_reason": "stop",
    }
    total = {**usage, "total_tokens": sum(usage.values())}
    kind = {"id": identifier, "object": "chat.completion", "model": model, "created": 0}
    return {**kind, "choices": [choice], "usage": total}


def _asked(request: Request) -> list[str]:
    """All words of the messages or the input."""
    found: list[str] = []
    for name in ("messages", "input", "prompt"):
        found += str(request.arguments.get(name) or "").split()
    return found


def _embeddings(request: Request, model: str) -> dict[str, Any]:
    given: object = request.arguments.get("input") or ""
    texts = cast("list[object]", given) if isinstance(given, list) else [given]
    data: list[dict[str, Any]] = []
    for place, text in enumerate(texts):
        chance = request.chance("embedding", str(text))
        numbers = [round(chance.gauss(0, 0.05), 6) for _ in range(256)]
        data.append({"object": "embedding", "index": place, "embedding": numbers})
    usage = {"prompt_tokens": len(_asked(request)), "total_tokens": len(_asked(request))}
    return {"object": "list", "data": data, "model": model, "usage": usage}
