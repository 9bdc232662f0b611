"""One source that breaks each rule and one beside it that does not."""

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import dedent, indent

MODELS = '''
class Input(BaseModel):
    prompt: str = Field(description="What to draw.", max_length=200)


class Output(BaseModel):
    text: str
'''
ENDPOINT = '''
@fal.endpoint("/")
def run(self, input: Input) -> Output:
    return Output(text=input.prompt)
'''


def app(
    settings: str = "max_concurrency = 2",
    methods: str = ENDPOINT,
    *,
    head: str = "",
    keywords: str = "",
    name: str = "MyApp",
    models: str = MODELS,
) -> str:
    """Return the source of an app with these settings and methods in its class."""
    body = f"{_inside(settings)}\n{_inside(methods)}".rstrip() or "    pass"
    return (
        f"import fal\nfrom pydantic import BaseModel, Field\n{dedent(head)}\n{models}\n\n"
        f"class {name}(fal.App{keywords}):\n{body}\n"
    )


def _inside(text: str) -> str:
    return indent(dedent(text).strip("\n"), "    ")


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """*fires* breaks the rule *code*, *quiet* does not; *says* stands in the words about it."""

    code: str
    name: str
    fires: Mapping[str, str] | str
    quiet: Mapping[str, str] | str
    says: str = ""
    mends: bool = False
    severity: str = ""
    entry: str = "app.py"


GPU = 'machine_type = "GPU-H100"\nrequirements = ["torch==2.6.0"]\n'
HUB = 'requirements = ["diffusers==0.31.0", "hf_transfer==0.1.9"]\n'


def load(call: str, where: str = "setup") -> str:
    return f"def {where}(self):\n    from diffusers import DiffusionPipeline\n    self.p = {call}\n"


def take(annotation: str, decorator: str = 'fal.endpoint("/")') -> str:
    return f"@{decorator}\ndef run(self, input{annotation}) -> Output:\n    return Output(text='')"


def field(line: str) -> str:
    return MODELS.replace('prompt: str = Field(description="What to draw.", max_length=200)', line)


LOAD = 'DiffusionPipeline.from_pretrained("acme/model"{})'
STREAM = '''
@fal.endpoint("{}")
def run(self, input: Input):
    from fastapi.responses import StreamingResponse
    return StreamingResponse(iter([]))
'''
REALTIME = '''
@fal.realtime("/realtime"{})
async def run(self, input: Input) -> AsyncIterator[Output]:
    yield Output(text="")
'''
ITERATOR = "from typing import AsyncIterator"
TWO = ENDPOINT + ENDPOINT.replace("def run", "def again")
TOML = '[tool.fal.apps.shop]\nref = "app.py::MyApp"\n'
RAISES = '''
@fal.endpoint("/")
def run(self, input: Input) -> Output:
    from fastapi import HTTPException
    raise HTTPException({}, "no")
'''

CASES = (
    Case("FAL001", "brackets", "import fal\nclass A(fal.App:\n", app(), severity="error"),
    Case("FAL001", "null", "import fal\0", app()),
    Case(
        "FAL001", "toml", {"app.py": app(), "pyproject.toml": "[tool.fal\n"},
        {"app.py": app(), "pyproject.toml": "[tool.ruff]\n"},
    ),
    Case("FAL002", "volume", app("x = fal.Volume('a')"), app(), "/data"),
    Case(
        "FAL002", "upload", app(methods=ENDPOINT.replace("input.prompt", "fal.upload_file('a')")),
        app(methods=ENDPOINT.replace("input.prompt", "str(fal.toolkit.File)")), "File", mends=True,
    ),
    Case("FAL002", "typo", app(methods=ENDPOINT.replace("endpoint", "endpont")), app(),
         "fal.endpoint", mends=True),
    Case(
        "FAL002", "toolkit", app(head="from fal.toolkit import optimize"),
        app(head="from fal.toolkit import Image, download_file"), "torch.compile",
    ),
    Case(
        "FAL002", "alias", app(head="import fal as f\nf.Secret"), app(head="import fal as f\nf.App"),
    ),
    Case("FAL003", "none", "import fal\nx = 1\n", app(), "class MyApp"),
    Case(
        "FAL003", "functions", "import fal\n@fal.function()\ndef go(): ...\n", app(), "'go'",
    ),
    Case("FAL003", "empty", "", app()),
    Case(
        "FAL003", "reference",
        {"pyproject.toml": '[tool.fal.apps.shop]\nref = "gone.py::A"\n'},
        {"pyproject.toml": TOML, "app.py": app()}, "gone.py", entry="",
    ),
    Case(
        "FAL004", "two", app() + "\nclass Other(fal.App):\n" + _inside(ENDPOINT),
        app() + "\nclass Other(MyApp):\n" + _inside(ENDPOINT), "app.py::MyApp",
    ),
    Case(
        "FAL010", "torch", app(methods="def setup(self):\n    torch.zeros(1)\n" + ENDPOINT,
                               head="import torch"),
        app(methods="def setup(self):\n    import torch\n    torch.zeros(1)\n" + ENDPOINT),
        "'torch'", mends=True, severity="error",
    ),
    Case(
        "FAL010", "annotation", app(head="import torch\ndef f(x: torch.Tensor): ..."),
        app(head="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
    ),
    Case(
        "FAL010", "from", app(methods='def setup(self):\n    """Load."""\n    self.p = Pipe()\n' + ENDPOINT, head="from diffusers import (\n    Pipe,\n)"),
        app(head="try:\n    import diffusers\nexcept ImportError:\n    diffusers = None"), mends=True,
    ),
    Case(
        "FAL010", "local module", {"app.py": app(head="import helper"), "helper.py": "import torch\n"},
        {"app.py": app(head="import helper"), "helper.py": "import json\n"},
    ),
    Case(
        "FAL010", "foreign", app(head="import numpy as np"), app(head="import json, requests"),
        "'numpy'", severity="warning",
    ),
    Case("FAL011", "call", app(head="print('hello')"), app(head="if __name__ == '__main__':\n    print(1)"),
         "print()"),
    Case("FAL011", "loop", app(head="for x in []:\n    pass"), app(head="X = [1, 2]"), "`for`"),
    Case("FAL011", "environ", app(head="import os\nos.environ['A'] = 'b'"), app(head="import os"), "'A'"),
    Case("FAL011", "download", app(head="import requests\nR = requests.get('x')"),
         app(head="import logging\nlogging.basicConfig()"), "requests.get()"),
    Case("FAL012", "file", app(head="TEXT = open('words.txt').read()"), app(head="TEXT = 'words'"), "open()"),
    Case("FAL012", "environment", app(head="import os\nKEY = os.environ['KEY']"),
         app(head="import os", methods="def setup(self):\n    import os\n    os.environ['KEY']\n" + ENDPOINT),
         "'KEY'"),
    Case("FAL012", "getenv", app(head="from os import getenv\nKEY = getenv('KEY', '')"), app(), "'KEY'"),
    Case("FAL020", "typo", app("max_concurency = 2"), app(), "max_concurrency", mends=True),
    Case("FAL020", "volumes", app("volumes = {'/data': 1}"), app("data_mounts = ['/data']"), "/data", mends=True),
    Case("FAL020", "name", app("name = 'x'"), app("app_name = 'x'"), "app_name", mends=True),
    Case("FAL020", "grace", app("termination_grace_period = 9"), app("termination_grace_period_seconds = 9"),
         "_seconds", mends=True),
    Case("FAL020", "own", app("gpu = 'H100'"),
         app("gpu = 'H100'", ENDPOINT.replace("input.prompt", "self.gpu")), "machine_type"),
    Case("FAL020", "keyword", app(keywords=", volumes={}"), app(keywords=", keep_alive=30, name='x'"), "'volumes'"),
    Case("FAL020", "attribute only", app(keywords=", machine_type='M'"), app("machine_type = 'M'"),
         "in the class body", mends=True),
    Case("FAL020", "toml", {"app.py": app(), "pyproject.toml": TOML + "machine = 'M'\n"},
         {"app.py": app(), "pyproject.toml": TOML + "machine_type = 'M'\n"}, "'machine'"),
    Case("FAL020", "retry", app("skip_retry_conditions = ['timeouts']"),
         app("skip_retry_conditions = ['timeout']"), "server_error"),
    Case("FAL021", "python", app("python_version = '3.11'\nkeep_alive = 9"), app(keywords=", python_version='3.11'"),
         "python_version", mends=True),
    Case("FAL022", "init", app(methods="def __init__(self):\n    self.x = 1\n" + ENDPOINT),
         app(methods="def setup(self):\n    self.x = 1\n" + ENDPOINT), "setup", mends=True),
    Case("FAL023", "bare", app(methods=ENDPOINT.replace('("/")', "")), app(), '"/"', mends=True),
    Case("FAL023", "empty", app(methods=ENDPOINT.replace('"/"', "")),
         app(methods=ENDPOINT.replace('"/"', 'path="/"')), mends=True),
    Case("FAL024", "image", app(methods=ENDPOINT.replace("def run", "def image")), app(), "'image'", mends=True),
    Case("FAL024", "spawn", app(methods=ENDPOINT.replace("def run", "def spawn")),
         app(methods=ENDPOINT + "\ndef handle_exit(self):\n    pass\ndef teardown(self):\n    pass"), mends=True),
    Case("FAL025", "files", app("image = fal.ContainerImage.from_dockerfile_str('FROM x')\napp_files = ['a']"),
         app("app_files = ['a']"), "COPY"),
    Case("FAL025", "context", app("app_files_context_dir = '.'"),
         app("app_files_context_dir = '.'\napp_files = ['a']")),
    Case("FAL030", "dead", app("machine_type = 'GPU-T4'\nrequirements = ['torch==2.6.0']"), app(GPU),
         "GPU-RTX4090", mends=True, severity="error"),
    Case("FAL030", "bare", app("machine_type = ['H100', 'GPU-A100']"), app("machine_type = ['GPU-H100']"),
         "GPU-H100", mends=True),
    Case("FAL030", "constant", app("machine_type = KIND", head="KIND = 'XXL'"), app("machine_type = KIND", head="KIND = 'XL'")),
    Case("FAL030", "undocumented", app("machine_type = 'GPU-B300'"), app("machine_type = pick()"), severity="warning"),
    Case("FAL031", "torch", app("requirements = ['torch==2.6.0']"), app(GPU), "'torch'"),
    Case("FAL031", "cuda", app(methods=ENDPOINT.replace("input.prompt", "self.m.to('cuda')")), app(), "cuda"),
    Case("FAL032", "idle", app("machine_type = 'GPU-H100'"), app(GPU), "CPU"),
    Case("FAL033", "count", app("num_gpus = 2\nmachine_type = 'M'"), app(GPU + "num_gpus = 2"), "num_gpus = 2", mends=True),
    Case("FAL034", "string", app("keep_alive = '60'"), app("keep_alive = 60"), "'60'", mends=True),
    Case("FAL034", "range", app(GPU + "num_gpus = 9"), app(GPU + "num_gpus = 8"), "9"),
    Case("FAL034", "float", app("max_concurrency = 2.0"), app("max_concurrency = LIMIT", head="LIMIT = 1 + 1"), mends=True),
    Case("FAL034", "toml", {"app.py": app(), "pyproject.toml": TOML + "keep_alive = true\n"},
         {"app.py": app(), "pyproject.toml": TOML + "keep_alive = 10\n"}, "True"),
    Case("FAL035", "region", app("regions = ['us-eas']"), app("regions = ['us-east']"), "us-east", mends=True),
    Case("FAL036", "auth", app("app_auth = 'pubic'"), app("app_auth = 'shared'"), "public", mends=True),
    Case("FAL037", "public", app("app_auth = 'public'"), app("app_auth = 'private'")),
    Case("FAL038", "bounds", app("min_concurrency = 3\nmax_concurrency = 2"), app("min_concurrency = 2\nmax_concurrency = 2")),
    Case("FAL039", "large", app("machine_type = 'GPU-RTX4090'\n" + HUB, load('DiffusionPipeline.from_pretrained("black-forest-labs/FLUX.1-dev")') + ENDPOINT),
         app("machine_type = 'GPU-H100'\n" + HUB, load('DiffusionPipeline.from_pretrained("black-forest-labs/FLUX.1-dev")') + ENDPOINT),
         "34 GB"),
    Case("FAL039", "named size", app("machine_type = 'GPU-A100'\nmodel_id = 'acme/Big-70B'\n" + HUB, load("DiffusionPipeline.from_pretrained(self.model_id)") + ENDPOINT),
         app("machine_type = 'GPU-A100'\nmodel_id = 'acme/Big-70B-AWQ'\n" + HUB, load("DiffusionPipeline.from_pretrained(self.model_id)") + ENDPOINT), "140 GB"),
    Case("FAL040", "token", app(head="TOKEN = 'hf_" + "a" * 30 + "'"), app(head="TOKEN = 'hf_short'"), "Hugging Face", severity="error"),
    Case("FAL040", "key", app(methods=ENDPOINT.replace("input.prompt", f"'{'0' * 8}-0000-0000-0000-{'0' * 12}:{'f' * 32}'")), app(), "fal key"),
    Case("FAL041", "missing", app("secrets = ['A']", "def setup(self):\n    import os\n    os.environ['HF_TOKEN']\n" + ENDPOINT),
         app("secrets = ['A']", "def setup(self):\n    import os\n    os.environ['A'], os.environ.get('HF_HUB_CACHE')\n" + ENDPOINT),
         "HF_TOKEN", mends=True),
    Case("FAL042", "eval", app(methods=ENDPOINT.replace("input.prompt", "eval(input.prompt)")), app(methods=ENDPOINT.replace("input.prompt", "self.model.eval()")), "eval()"),
    Case("FAL042", "shell", app(methods="def setup(self):\n    import subprocess\n    subprocess.run('ls', shell=True)\n" + ENDPOINT),
         app(methods="def setup(self):\n    import subprocess\n    subprocess.run(['ls'])\n" + ENDPOINT), "shell=True"),
    Case("FAL043", "remote", app(HUB, load(LOAD.format(", trust_remote_code=True")) + ENDPOINT), app(HUB, load(LOAD.format(", trust_remote_code=True, revision='a1b2c3d'")) + ENDPOINT)),
    Case("FAL044", "floating", app(HUB, load(LOAD.format("")) + ENDPOINT), app(HUB, load(LOAD.format(", revision='a1b2c3d'")) + ENDPOINT), "acme/model"),
    Case("FAL044", "clone", app(methods="def setup(self):\n    run(['git', 'clone', 'https://x/y'])\n" + ENDPOINT),
         app(methods="def setup(self):\n    run(['git', 'clone', '--branch', 'v1', 'https://x/y'])\n" + ENDPOINT), "git clone"),
    Case("FAL044", "local", app(HUB, load(LOAD.format("")) + ENDPOINT), app(HUB, load('DiffusionPipeline.from_pretrained("/data/model")') + ENDPOINT)),
    Case("FAL050", "always", app("machine_type = 'GPU-H200'\nmin_concurrency = 1"), app("machine_type = 'M'\nmin_concurrency = 1"), "$3,240"),
    Case("FAL050", "unpriced", app("machine_type = 'GPU-L40'\nmin_concurrency = 1"), app(GPU + "min_concurrency = 0"), "no price"),
    Case("FAL051", "buffer", app(GPU + "concurrency_buffer = 2"), app("concurrency_buffer = 2"), "2"),
    Case("FAL052", "idle", app(GPU + "keep_alive = 900"), app(GPU + "keep_alive = 300"), "900"),
    Case("FAL053", "cap", app("keep_alive = 30"), app()),
    Case("FAL054", "slow", app(GPU, load('DiffusionPipeline.from_pretrained("black-forest-labs/FLUX.1-dev")') + ENDPOINT),
         app(GPU + "startup_timeout = 900", load('DiffusionPipeline.from_pretrained("black-forest-labs/FLUX.1-dev")') + ENDPOINT), "600"),
    Case("FAL060", "range", app("requirements = ['numpy>=2']"), app("requirements = ['numpy==2.2.0; python_version > \"3.9\"']"), "numpy=="),
    Case("FAL060", "commit", app("requirements = ['git+https://x/y@main']"), app("requirements = ['git+https://x/y@0123abc', '--extra-index-url https://x']"), "commit"),
    Case("FAL060", "layer", app("requirements = [['torch==2.6.0'], ['numpy']]"), app("requirements = [['torch==2.6.0'], ['numpy==2.2.0']]"), "'numpy'"),
    Case("FAL061", "pydantic", app("requirements = ['pydantic==2.10.6']"), app("requirements = ['pydantic>=2.5']"), "layer"),
    Case("FAL062", "twice", app("requirements = ['hf-transfer==0.1.9', 'hf_transfer==0.1.8']"), app("requirements = ['a==1', 'b==1']"), "hf-transfer"),
    Case("FAL062", "same", app("requirements = ['numpy==2.2.0', 'numpy==2.2.0']"), app("requirements = [['a==1'], ['a==1']]"), mends=True),
    Case("FAL063", "slow", app("requirements = ['diffusers==0.31.0']", load(LOAD.format("")) + ENDPOINT), app(HUB, load(LOAD.format("")) + ENDPOINT)),
    Case("FAL064", "missing", app("requirements = ['torch==2.6.0']", "def setup(self):\n    import cv2, numpy, json\n" + ENDPOINT),
         app("requirements = ['opencv-python-headless==4.10.0']", "def setup(self):\n    import cv2, numpy, httpx\n" + ENDPOINT), "opencv-python", severity="error"),
    Case("FAL064", "doubt", app("requirements = ['acme-kit==1']", "def setup(self):\n    import einops\n" + ENDPOINT), app("requirements = more()", "def setup(self):\n    import einops\n" + ENDPOINT), "acme-kit", severity="warning"),
    Case("FAL064", "local", {"app.py": app(head="import helper"), "helper.py": "x = 1\n"},
         {"app.py": app("local_python_modules = ['helper']", head="import helper"), "helper.py": "x = 1\n"}, "local_python_modules"),
    Case("FAL065", "folder", app(HUB, load(LOAD.format(", cache_dir='/tmp/x'")) + ENDPOINT), app(HUB, load(LOAD.format(", cache_dir='/data/x'")) + ENDPOINT), "/tmp/x"),
    Case("FAL065", "hub", app(methods="def setup(self):\n    import torch\n    torch.hub.load('a/b', 'c')\n" + ENDPOINT), app()),
    Case("FAL070", "none", app(methods="def setup(self):\n    pass"), app(), "route"),
    Case("FAL070", "wma", "import fal\nclass A(fal.App):\n    keep_alive = 1\n", "import fal.wma\nclass A(fal.wma.App):\n    keep_alive = 1\n"),
    Case("FAL071", "slash", app(methods=ENDPOINT.replace('"/"', '"run"')), app(methods=ENDPOINT.replace('"/"', "PATH"), head="PATH = '/x'"), "/run", mends=True),
    Case("FAL072", "twice", app(methods=TWO), app(), "'/'"),
    Case("FAL073", "health", app(methods=ENDPOINT + ENDPOINT.replace('"/"', '"/health"').replace("run", "ok")),
         app(methods=ENDPOINT + ENDPOINT.replace('"/"', '"/health", health_check=fal.HealthCheck()').replace("run", "ok")), mends=True),
    Case("FAL074", "sync", app(methods="@fal.endpoint('/ws', is_websocket=True)\ndef ws(self, ws: WebSocket) -> None: ...", head="from fastapi import WebSocket"),
         app(methods="@fal.endpoint('/ws', is_websocket=True)\nasync def ws(self, ws: WebSocket) -> None: ...", head="from fastapi import WebSocket"), "async"),
    Case("FAL074", "type", app(methods="@fal.endpoint('/ws', is_websocket=True)\nasync def ws(self, ws) -> None: ..."), app(), "WebSocket"),
    Case("FAL075", "scalar", app(methods=take(": str")), app(), "query", severity="error"),
    Case("FAL075", "untyped", app(methods=take("")), app(methods=take(": 'Input'")), "no type", severity="error"),
    Case("FAL075", "optional", app(methods=take(": int | None = None")), app(methods=take(": Request", ), head="from fastapi import Request"), "int | None"),
    Case("FAL075", "open", app(methods=take(": dict")), app(methods=take(": list[Input]")), severity="warning"),
    Case("FAL076", "return", app(methods=ENDPOINT.replace(" -> Output", "")), app(methods=STREAM.format("/stream"))),
    Case("FAL077", "long", app("request_timeout = 3600"), app("request_timeout = 3600", ENDPOINT + ENDPOINT.replace('"/"', '"/cancel"').replace("run", "cancel")), "/cancel"),
    Case("FAL078", "path", app(methods=STREAM.format("/events")), app(methods=STREAM.format("/stream")), "/events/stream"),
    Case("FAL080", "loader", app(HUB, load(LOAD.format("")).replace("def setup(self)", "@fal.endpoint('/')\ndef run(self, input: Input) -> Output")), app(HUB, load(LOAD.format("")) + ENDPOINT), "setup()"),
    Case("FAL081", "sleep", app(methods=ENDPOINT.replace("def run", "async def run").replace("input.prompt", "time.sleep(1)"), head="import time"),
         app(methods=ENDPOINT.replace("input.prompt", "time.sleep(1)"), head="import time"), "time.sleep()"),
    Case("FAL081", "model", app(methods=ENDPOINT.replace("def run", "async def run").replace("input.prompt", "self.pipe(1)")),
         app(methods=ENDPOINT.replace("def run", "async def run").replace("input.prompt", "await self.pipe(1)")), "self.pipe()"),
    Case("FAL082", "buffer", app(methods=REALTIME.format(""), head=ITERATOR), app(methods=REALTIME.format(", buffering=8"), head=ITERATOR), "16", mends=True),
    Case("FAL083", "setup", app(GPU), app(GPU, "def setup(self):\n    pass\n" + ENDPOINT), "'torch'"),
    Case("FAL084", "threads", app("max_multiplexing = 4"), app("max_multiplexing = 4", ENDPOINT.replace("def run", "async def run")), "4"),
    Case("FAL085", "shared", app("max_multiplexing = 4", ENDPOINT.replace("return", "self.last = 1\n    return")), app("max_multiplexing = 1", ENDPOINT.replace("return", "self.last = 1\n    return")), "self.last"),
    Case("FAL086", "503", app(methods=RAISES.format("503")), app(methods=RAISES.format("500")), "kill", mends=True),
    Case("FAL090", "bounds", app(models=field("steps: int = 3")), app(models=field("steps: int = Field(3, ge=1, le=9)")), "Input.steps"),
    Case("FAL090", "nested", app(models=field("inner: list[Inner]") + "\nclass Inner(BaseModel):\n    n: float\n"), app(models=field("flag: bool = Field(True)"))),
    Case("FAL091", "length", app(models=field("prompt: str")), app(models=field("mode: Literal['a', 'str']")), "max_length"),
    Case("FAL092", "words", app(models=field("flag: bool = True")), app(), "Input.flag"),
    Case("FAL093", "address", app(models=field("image_url: str")), app(models=field("image: Image"), head="from fal.toolkit import Image"), "Image"),
    Case("FAL095", "name", app(name="SDXL"), app("app_name = 'sdxl'", name="SDXL"), "s-d-x-l", mends=True),
    Case("FAL095", "digit", app(name="TextToImage2"), app(name="TextToImage"), "text-to-image2", mends=True),
    Case("FAL099", "unused", app("keep_alive = 60  # noqa: FAL034"), app("keep_alive = -1  # noqa: FAL034"), "FAL034", mends=True),
    Case("FAL099", "no rule", app("keep_alive = 60  # noqa: FAL999"), app("keep_alive = 60  # noqa: E501"), "no rule", mends=True),
)  # fmt: skip
