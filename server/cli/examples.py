"""One example of each verb, which its help ends with."""

from collections.abc import Mapping

import typer

VERBS: Mapping[str, str] = {
    "serve": "falkit serve --toolsets discover,follow",
    "demo": "falkit demo ~/falkit-demo",
    "install": "falkit install claude-code --key-file ~/.fal-key",
    "doctor": "falkit doctor",
    "approve": "falkit approve 1m87tmm04xq",
    "search": 'falkit search "make my photo talk" --max-dollars 1',
    "show": "falkit show fal-ai/flux/schnell",
    "price": "falkit price fal-ai/flux/schnell num_images=4 --with fal-ai/flux/dev",
    "code": 'falkit code fal-ai/flux/schnell prompt="a red fox" > fox.py',
    "run": 'falkit run fal-ai/flux/schnell "a red fox" image_size=square',
    "edit": 'falkit edit instruct photo.jpg "make it night"',
    "job": "falkit job 1m87tmm04xq --logs",
    "view": "falkit view 1m87tmm04xq --to seen.jpg",
    "cancel": "falkit cancel 1m87tmm04xq",
    "app": "falkit app new cpu hello-app",
    "keep": "falkit keep --once",
    "spending": "falkit spending --period 7d --by day",
    "catalog": "falkit catalog",
    "jobs": "falkit jobs --tag fox --since 2d",
}
CATALOG: Mapping[str, str] = {
    "refresh": "falkit catalog refresh",
    "check": "falkit catalog check",
}
JOBS: Mapping[str, str] = {"prune": "falkit jobs prune --days 90 --dry-run"}
APPS: Mapping[str, str] = {
    "new": "falkit app new text-to-image my-app --machine GPU-H100",
    "check": 'falkit app check my-app --load "2 calls a minute of 8 seconds" --fix',
    "deploy": "falkit app deploy my-app --on cloud",
    "scale": "falkit app scale my-app keep_alive=300 max_concurrency=2",
    "roll-back": "falkit app roll-back my-app",
    "restart": "falkit app restart my-app",
    "delete": "falkit app delete my-app --on cloud",
    "secret": "falkit app secret HF_TOKEN --on cloud",
    "status": "falkit app status my-app",
    "logs": "falkit app logs my-app --level error --since 2h",
    "tools": "falkit app tools",
    "apply": "falkit app apply plan-0a1b2c3d4e",
}


def add(app: typer.Typer, examples: Mapping[str, str]) -> None:
    """End the help of each command of *app* with its example."""
    for command in app.registered_commands:
        name = command.name or str(getattr(command.callback, "__name__", ""))
        if name in examples:
            command.epilog = f"Example: {examples[name]}"
    for group in app.registered_groups:
        if (example := examples.get(str(group.name))) is not None:
            group.epilog = f"Example: {example}"
