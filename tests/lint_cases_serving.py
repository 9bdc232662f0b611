"""Cases of the rules on endpoints, streams, inputs, names and comments."""

from tests.lint_made import (
    ENDPOINT,
    GPU,
    HUB,
    ITERATOR,
    LOAD,
    RAISES,
    REALTIME,
    STREAM,
    TWO,
    Case,
    app,
    field,
    load,
    take,
)

CASES = (
    Case("FAL070", "none", app(methods="def setup(self):\n    pass"), app(), "OpenAPI"),
    Case(
        "FAL070",
        "wma",
        "import fal\nclass A(fal.App):\n    keep_alive = 1\n",
        "import fal.wma\nclass A(fal.wma.App):\n    keep_alive = 1\n",
    ),
    Case(
        "FAL071",
        "slash",
        app(methods=ENDPOINT.replace('"/"', '"run"')),
        app(methods=ENDPOINT.replace('"/"', "PATH"), head="PATH = '/x'"),
        "/run",
        mends=True,
    ),
    Case("FAL072", "twice", app(methods=TWO), app(), "'/'"),
    Case(
        "FAL073",
        "health",
        app(methods=ENDPOINT + ENDPOINT.replace('"/"', '"/health"').replace("run", "ok")),
        app(
            methods=ENDPOINT
            + ENDPOINT.replace('"/"', '"/health", health_check=fal.HealthCheck()').replace(
                "run", "ok"
            )
        ),
        mends=True,
    ),
    Case(
        "FAL074",
        "sync",
        app(
            methods="@fal.endpoint('/ws', is_websocket=True)\ndef ws(self, ws: WebSocket): ...",
            head="from fastapi import WebSocket",
        ),
        app(
            methods="@fal.endpoint('/ws', is_websocket=True)\nasync def w(self, w: WebSocket): ...",
            head="from fastapi import WebSocket",
        ),
        "async",
    ),
    Case(
        "FAL074",
        "type",
        app(methods="@fal.endpoint('/ws', is_websocket=True)\nasync def ws(self, ws) -> None: ..."),
        app(),
        "WebSocket",
    ),
    Case("FAL075", "scalar", app(methods=take(": str")), app(), "query", severity="error"),
    Case(
        "FAL075",
        "untyped",
        app(methods=take("")),
        app(methods=take(": 'Input'")),
        "no type",
        severity="error",
    ),
    Case(
        "FAL075",
        "optional",
        app(methods=take(": int | None = None")),
        app(
            methods=take(
                ": Request",
            ),
            head="from fastapi import Request",
        ),
        "int | None",
    ),
    Case(
        "FAL075",
        "open",
        app(methods=take(": dict")),
        app(methods=take(": list[Input]")),
        severity="warning",
    ),
    Case(
        "FAL076",
        "return",
        app(methods=ENDPOINT.replace(" -> Output", "")),
        app(methods=STREAM.format("/stream")),
    ),
    Case(
        "FAL077",
        "long",
        app("request_timeout = 3600"),
        app(
            "request_timeout = 3600",
            ENDPOINT + ENDPOINT.replace('"/"', '"/cancel"').replace("run", "cancel"),
        ),
        "/cancel",
    ),
    Case(
        "FAL078",
        "path",
        app(methods=STREAM.format("/events")),
        app(methods=STREAM.format("/stream")),
        "/events/stream",
    ),
    Case(
        "FAL080",
        "loader",
        app(
            HUB,
            load(LOAD.format("")).replace(
                "def setup(self)", "@fal.endpoint('/')\ndef run(self, input: Input) -> Output"
            ),
        ),
        app(HUB, load(LOAD.format("")) + ENDPOINT),
        "setup()",
    ),
    Case(
        "FAL081",
        "sleep",
        app(
            methods=ENDPOINT.replace("def run", "async def run").replace(
                "input.prompt", "time.sleep(1)"
            ),
            head="import time",
        ),
        app(methods=ENDPOINT.replace("input.prompt", "time.sleep(1)"), head="import time"),
        "time.sleep()",
    ),
    Case(
        "FAL081",
        "model",
        app(
            methods=ENDPOINT.replace("def run", "async def run").replace(
                "input.prompt", "self.pipe(1)"
            )
        ),
        app(
            methods=ENDPOINT.replace("def run", "async def run").replace(
                "input.prompt", "await self.pipe(1)"
            )
        ),
        "self.pipe()",
    ),
    Case(
        "FAL082",
        "buffer",
        app(methods=REALTIME.format(""), head=ITERATOR),
        app(methods=REALTIME.format(", buffering=8"), head=ITERATOR),
        "16",
        mends=True,
    ),
    Case(
        "FAL083", "setup", app(GPU), app(GPU, "def setup(self):\n    pass\n" + ENDPOINT), "'torch'"
    ),
    Case(
        "FAL084",
        "threads",
        app("max_multiplexing = 4"),
        app("max_multiplexing = 4", ENDPOINT.replace("def run", "async def run")),
        "4",
    ),
    Case(
        "FAL085",
        "shared",
        app("max_multiplexing = 4", ENDPOINT.replace("return", "self.last = 1\n    return")),
        app("max_multiplexing = 1", ENDPOINT.replace("return", "self.last = 1\n    return")),
        "self.last",
    ),
    Case(
        "FAL086",
        "503",
        app(methods=RAISES.format("503")),
        app(methods=RAISES.format("500")),
        "kill",
        mends=True,
    ),
    Case(
        "FAL090",
        "bounds",
        app(models=field("steps: int = 3")),
        app(models=field("steps: int = Field(3, ge=1, le=9)")),
        "Input.steps",
    ),
    Case(
        "FAL090",
        "nested",
        app(models=field("inner: list[Inner]") + "\nclass Inner(BaseModel):\n    n: float\n"),
        app(models=field("flag: bool = Field(True)")),
    ),
    Case(
        "FAL091",
        "length",
        app(models=field("prompt: str")),
        app(models=field("mode: Literal['a', 'str']")),
        "max_length",
    ),
    Case("FAL092", "words", app(models=field("flag: bool = True")), app(), "Input.flag"),
    Case(
        "FAL093",
        "address",
        app(models=field("image_url: str")),
        app(models=field("image: Image"), head="from fal.toolkit import Image"),
        "Image",
    ),
    Case(
        "FAL095",
        "name",
        app(name="SDXL"),
        app("app_name = 'sdxl'", name="SDXL"),
        "s-d-x-l",
        mends=True,
    ),
    Case(
        "FAL095",
        "digit",
        app(name="TextToImage2"),
        app(name="TextToImage"),
        "text-to-image2",
        mends=True,
    ),
    Case(
        "FAL099",
        "unused",
        app("keep_alive = 60  # noqa: FAL034"),
        app("keep_alive = -1  # noqa: FAL034"),
        "FAL034",
        mends=True,
    ),
    Case(
        "FAL099",
        "no rule",
        app("keep_alive = 60  # noqa: FAL999"),
        app("keep_alive = 60  # noqa: E501"),
        "no rule",
        mends=True,
    ),
)
