"""Cases of the rules on machines, scaling, safety and packages."""

from tests.lint_made import ENDPOINT, GPU, HUB, LOAD, TOML, Case, app, load

CASES = (
    Case(
        "FAL030",
        "dead",
        app("machine_type = 'GPU-T4'\nrequirements = ['torch==2.6.0']"),
        app(GPU),
        "GPU-RTX4090",
        mends=True,
        severity="error",
    ),
    Case(
        "FAL030",
        "bare",
        app("machine_type = ['H100', 'GPU-A100']"),
        app("machine_type = ['GPU-H100']"),
        "GPU-H100",
        mends=True,
    ),
    Case(
        "FAL030",
        "constant",
        app("machine_type = KIND", head="KIND = 'XXL'"),
        app("machine_type = KIND", head="KIND = 'XL'"),
    ),
    Case(
        "FAL030",
        "undocumented",
        app("machine_type = 'GPU-B300'"),
        app("machine_type = pick()"),
        severity="warning",
    ),
    Case("FAL031", "torch", app("requirements = ['torch==2.6.0']"), app(GPU), "'torch'"),
    Case(
        "FAL031",
        "cuda",
        app(methods=ENDPOINT.replace("input.prompt", "self.m.to('cuda')")),
        app(),
        "cuda",
    ),
    Case("FAL032", "idle", app("machine_type = 'GPU-H100'"), app(GPU), "CPU"),
    Case(
        "FAL033",
        "count",
        app("num_gpus = 2\nmachine_type = 'M'"),
        app(GPU + "num_gpus = 2"),
        "num_gpus = 2",
        mends=True,
    ),
    Case("FAL034", "string", app("keep_alive = '60'"), app("keep_alive = 60"), "'60'", mends=True),
    Case("FAL034", "range", app(GPU + "num_gpus = 9"), app(GPU + "num_gpus = 8"), "9"),
    Case(
        "FAL034",
        "float",
        app("max_concurrency = 2.0"),
        app("max_concurrency = LIMIT", head="LIMIT = 1 + 1"),
        mends=True,
    ),
    Case(
        "FAL034",
        "toml",
        {"app.py": app(), "pyproject.toml": TOML + "keep_alive = true\n"},
        {"app.py": app(), "pyproject.toml": TOML + "keep_alive = 10\n"},
        "True",
    ),
    Case(
        "FAL035",
        "region",
        app("regions = ['us-eas']"),
        app("regions = ['us-east']"),
        "us-east",
        mends=True,
    ),
    Case(
        "FAL036",
        "auth",
        app("app_auth = 'pubic'"),
        app("app_auth = 'shared'"),
        "public",
        mends=True,
    ),
    Case("FAL037", "public", app("app_auth = 'public'"), app("app_auth = 'private'")),
    Case(
        "FAL038",
        "bounds",
        app("min_concurrency = 3\nmax_concurrency = 2"),
        app("min_concurrency = 2\nmax_concurrency = 2"),
    ),
    Case(
        "FAL039",
        "large",
        app(
            "machine_type = 'GPU-RTX4090'\n" + HUB,
            load('DiffusionPipeline.from_pretrained("black-forest-labs/FLUX.1-dev")') + ENDPOINT,
        ),
        app(
            "machine_type = 'GPU-H100'\n" + HUB,
            load('DiffusionPipeline.from_pretrained("black-forest-labs/FLUX.1-dev")') + ENDPOINT,
        ),
        "34 GB",
    ),
    Case(
        "FAL039",
        "named size",
        app(
            "machine_type = 'GPU-A100'\nmodel_id = 'acme/Big-70B'\n" + HUB,
            load("DiffusionPipeline.from_pretrained(self.model_id)") + ENDPOINT,
        ),
        app(
            "machine_type = 'GPU-A100'\nmodel_id = 'acme/Big-70B-AWQ'\n" + HUB,
            load("DiffusionPipeline.from_pretrained(self.model_id)") + ENDPOINT,
        ),
        "140 GB",
    ),
    Case(
        "FAL040",
        "token",
        app(head="TOKEN = 'hf_" + "a" * 30 + "'"),
        app(head="TOKEN = 'hf_short'"),
        "Hugging Face",
        severity="error",
    ),
    Case(
        "FAL040",
        "key",
        app(
            methods=ENDPOINT.replace(
                "input.prompt", f"'{'0' * 8}-0000-0000-0000-{'0' * 12}:{'f' * 32}'"
            )
        ),
        app(),
        "fal key",
    ),
    Case(
        "FAL041",
        "missing",
        app(
            "secrets = ['A']",
            "def setup(self):\n    import os\n    os.environ['HF_TOKEN']\n" + ENDPOINT,
        ),
        app(
            "secrets = ['A']",
            "def setup(self):\n    import os\n    os.environ['A'], os.environ.get('HF_HUB_CACHE')\n"
            + ENDPOINT,
        ),
        "HF_TOKEN",
        mends=True,
    ),
    Case(
        "FAL042",
        "eval",
        app(methods=ENDPOINT.replace("input.prompt", "eval(input.prompt)")),
        app(methods=ENDPOINT.replace("input.prompt", "self.model.eval()")),
        "eval()",
    ),
    Case(
        "FAL042",
        "shell",
        app(
            methods="def setup(self):\n    import subprocess\n    subprocess.run('a', shell=True)\n"
            + ENDPOINT
        ),
        app(
            methods="def setup(self):\n    import subprocess\n    subprocess.run(['ls'])\n"
            + ENDPOINT
        ),
        "shell=True",
    ),
    Case(
        "FAL043",
        "remote",
        app(HUB, load(LOAD.format(", trust_remote_code=True")) + ENDPOINT),
        app(HUB, load(LOAD.format(", trust_remote_code=True, revision='a1b2c3d'")) + ENDPOINT),
    ),
    Case(
        "FAL044",
        "floating",
        app(HUB, load(LOAD.format("")) + ENDPOINT),
        app(HUB, load(LOAD.format(", revision='a1b2c3d'")) + ENDPOINT),
        "acme/model",
    ),
    Case(
        "FAL044",
        "clone",
        app(methods="def setup(self):\n    run(['git', 'clone', 'https://x/y'])\n" + ENDPOINT),
        app(
            methods="def setup(self):\n    run(['git', 'clone', '--branch', 'v1', 'https://x/y'])\n"
            + ENDPOINT
        ),
        "git clone",
    ),
    Case(
        "FAL044",
        "local",
        app(HUB, load(LOAD.format("")) + ENDPOINT),
        app(HUB, load('DiffusionPipeline.from_pretrained("/data/model")') + ENDPOINT),
    ),
    Case(
        "FAL050",
        "always",
        app("machine_type = 'GPU-H200'\nmin_concurrency = 1"),
        app("machine_type = 'M'\nmin_concurrency = 1"),
        "$3,240",
    ),
    Case(
        "FAL050",
        "unpriced",
        app("machine_type = 'GPU-L40'\nmin_concurrency = 1"),
        app(GPU + "min_concurrency = 0"),
        "no price",
    ),
    Case(
        "FAL051", "buffer", app(GPU + "concurrency_buffer = 2"), app("concurrency_buffer = 2"), "2"
    ),
    Case("FAL052", "idle", app(GPU + "keep_alive = 900"), app(GPU + "keep_alive = 300"), "900"),
    Case("FAL053", "cap", app("keep_alive = 30"), app()),
    Case(
        "FAL054",
        "slow",
        app(
            GPU,
            load('DiffusionPipeline.from_pretrained("black-forest-labs/FLUX.1-dev")') + ENDPOINT,
        ),
        app(
            GPU + "startup_timeout = 900",
            load('DiffusionPipeline.from_pretrained("black-forest-labs/FLUX.1-dev")') + ENDPOINT,
        ),
        "600",
    ),
    Case(
        "FAL060",
        "range",
        app("requirements = ['numpy>=2']"),
        app("requirements = ['numpy==2.2.0; python_version > \"3.9\"']"),
        "numpy==",
    ),
    Case(
        "FAL060",
        "commit",
        app("requirements = ['git+https://x/y@main']"),
        app("requirements = ['git+https://x/y@0123abc', '--extra-index-url https://x']"),
        "commit",
    ),
    Case(
        "FAL060",
        "layer",
        app("requirements = [['torch==2.6.0'], ['numpy']]"),
        app("requirements = [['torch==2.6.0'], ['numpy==2.2.0']]"),
        "'numpy'",
    ),
    Case(
        "FAL061",
        "pydantic",
        app("requirements = ['pydantic==2.10.6']"),
        app("requirements = ['pydantic>=2.5']"),
        "layer",
    ),
    Case(
        "FAL062",
        "twice",
        app("requirements = ['hf-transfer==0.1.9', 'hf_transfer==0.1.8']"),
        app("requirements = ['a==1', 'b==1']"),
        "hf-transfer",
    ),
    Case(
        "FAL062",
        "same",
        app("requirements = ['numpy==2.2.0', 'numpy==2.2.0']"),
        app("requirements = [['a==1'], ['a==1']]"),
        mends=True,
    ),
    Case(
        "FAL063",
        "slow",
        app("requirements = ['diffusers==0.31.0']", load(LOAD.format("")) + ENDPOINT),
        app(HUB, load(LOAD.format("")) + ENDPOINT),
    ),
    Case(
        "FAL064",
        "missing",
        app(
            "requirements = ['torch==2.6.0']",
            "def setup(self):\n    import cv2, numpy, json\n" + ENDPOINT,
        ),
        app(
            "requirements = ['opencv-python-headless==4.10.0']",
            "def setup(self):\n    import cv2, numpy, httpx\n" + ENDPOINT,
        ),
        "opencv-python",
        severity="error",
    ),
    Case(
        "FAL064",
        "of fal",
        app(methods="def setup(self):\n    import PIL\n" + ENDPOINT),
        app("requirements = ['pillow==12.0.0']", "def setup(self):\n    import PIL\n" + ENDPOINT),
        "unless 'fal' does",
        severity="warning",
    ),
    Case(
        "FAL064",
        "doubt",
        app("requirements = ['acme-kit==1']", "def setup(self):\n    import einops\n" + ENDPOINT),
        app("requirements = more()", "def setup(self):\n    import einops\n" + ENDPOINT),
        "acme-kit",
        severity="warning",
    ),
    Case(
        "FAL064",
        "local",
        {"app.py": app(head="import helper"), "helper.py": "x = 1\n"},
        {
            "app.py": app("local_python_modules = ['helper']", head="import helper"),
            "helper.py": "x = 1\n",
        },
        "local_python_modules",
    ),
    Case(
        "FAL065",
        "folder",
        app(HUB, load(LOAD.format(", cache_dir='/scratch/x'")) + ENDPOINT),
        app(HUB, load(LOAD.format(", cache_dir='/data/x'")) + ENDPOINT),
        "/scratch/x",
    ),
    Case(
        "FAL065",
        "hub",
        app(
            methods="def setup(self):\n    import torch\n    torch.hub.load('a/b', 'c')\n"
            + ENDPOINT
        ),
        app(),
    ),
)
