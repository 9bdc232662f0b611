"""What Python packages are called, what they bring along, and which are heavy."""

import re
import sys
from functools import cache
from typing import Final

from server.deploy.lint.known import named

# Imports that need a GPU library or gigabytes of packages, which the deploying machine lacks.
HEAVY: Final = named(
    """torch torchvision torchaudio diffusers transformers vllm accelerate tensorflow keras jax flax
    xformers onnxruntime cv2 whisper faster_whisper whisperx sentence_transformers TTS
    bitsandbytes peft safetensors flash_attn sglang tensorrt triton insightface mediapipe
    ultralytics rembg basicsr gfpgan realesrgan moviepy librosa demucs audiocraft kokoro open_clip
    timm controlnet_aux optimum auto_gptq ctranslate2 spacy gradio scipy sklearn skimage pandas
    numba trimesh"""
)
# What the platform adds to every app's environment, and what comes with it (fal/api/api.py).
BROUGHT_BY_SERVING: Final = named(
    """fal fastapi pydantic pydantic_core tblib uvicorn starlette_exporter starlette packaging
    structlog tomli tomli_w httpx httpcore h11 anyio idna certifi sniffio typing_extensions
    prometheus_client click annotated_types typing_inspection"""
)
# What `fal` itself depends on: the deploying machine has it.
BROUGHT_BY_FAL: Final = BROUGHT_BY_SERVING | named(
    """PIL requests websockets msgpack yaml rich grpc cloudpickle dill isolate isolate_proto
    dateutil portalocker aiohttp attr jwt cryptography urllib3 charset_normalizer pathspec
    platformdirs filelock virtualenv opentelemetry google protobuf arrow argcomplete httpx_sse
    multidict yarl fsspec jinja2 pygments"""
)
# Imports whose package has another name.
DISTRIBUTIONS: Final = {
    "cv2": "opencv-python", "PIL": "pillow", "sklearn": "scikit-learn", "skimage": "scikit-image",
    "yaml": "pyyaml", "bs4": "beautifulsoup4", "whisper": "openai-whisper", "dotenv":
    "python-dotenv", "dateutil": "python-dateutil", "jwt": "pyjwt", "attr": "attrs",
    "flash_attn": "flash-attn", "open_clip": "open-clip-torch", "faster_whisper": "faster-whisper",
    "sentence_transformers": "sentence-transformers", "huggingface_hub": "huggingface-hub",
    "google": "google-api-python-client", "serial": "pyserial", "magic": "python-magic",
    "soundfile": "soundfile", "fal_client": "fal-client", "TTS": "coqui-tts", "onnxruntime":
    "onnxruntime-gpu", "Crypto": "pycryptodome", "fitz": "pymupdf", "docx": "python-docx",
    "OpenSSL": "pyopenssl", "git": "gitpython", "moviepy": "moviepy", "controlnet_aux":
    "controlnet-aux", "hf_transfer": "hf-transfer", "imageio_ffmpeg": "imageio-ffmpeg", "ffmpeg":
    "ffmpeg-python", "auto_gptq": "auto-gptq", "psycopg2": "psycopg2-binary", "slugify":
    "python-slugify", "tensorrt": "tensorrt", "comfy": "comfyui",
}  # fmt: skip
# Other packages that provide an import.
ALSO: Final = {
    "cv2": ("opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "onnxruntime": ("onnxruntime",),
    "TTS": ("tts",),
    "whisper": ("whisper",),
    "PIL": ("pillow-simd",),
    "psycopg2": ("psycopg2",),
    "google": (
        "google-cloud-storage", "google-genai", "google-generativeai", "google-auth", "protobuf",
    ),
    "fal_client": ("fal",),
    "magic": ("python-magic-bin",),
}  # fmt: skip

_TORCH = "torch numpy sympy networkx jinja2 fsspec filelock mpmath"
_HUB = "huggingface_hub requests tqdm yaml filelock fsspec packaging hf_xet"
_TRANSFORMERS = f"transformers tokenizers safetensors regex numpy {_HUB}"
# What packages bring along, by import name; from their published dependencies (late 2025).
BRINGS: Final = {
    name: frozenset(words.split())
    for name, words in {
        "torch": _TORCH,
        "torchvision": f"torchvision PIL {_TORCH}",
        "torchaudio": f"torchaudio {_TORCH}",
        "huggingface-hub": _HUB,
        "tokenizers": _HUB,
        "transformers": _TRANSFORMERS,
        "diffusers": f"diffusers PIL importlib_metadata numpy regex requests safetensors {_HUB}",
        "accelerate": f"accelerate psutil {_TORCH} {_HUB} safetensors",
        "peft": f"peft psutil {_TORCH} {_TRANSFORMERS} accelerate",
        "safetensors": "safetensors",
        "sentencepiece": "sentencepiece",
        "protobuf": "google",
        "xformers": f"xformers {_TORCH}",
        "bitsandbytes": f"bitsandbytes {_TORCH}",
        "vllm": f"vllm {_TORCH} {_TRANSFORMERS} torchvision torchaudio PIL psutil openai ray "
        "aiohttp cv2 scipy numba sentencepiece msgspec pandas xgrammar",
        "openai-whisper": f"whisper tiktoken tqdm numba more_itertools {_TORCH}",
        "faster-whisper": f"faster_whisper ctranslate2 tokenizers onnxruntime av tqdm numpy {_HUB}",
        "sentence-transformers": f"sentence_transformers {_TORCH} {_TRANSFORMERS} scipy sklearn "
        "PIL",
        "numpy": "numpy",
        "pandas": "pandas numpy dateutil pytz tzdata",
        "scipy": "scipy numpy",
        "scikit-learn": "sklearn numpy scipy joblib threadpoolctl",
        "scikit-image": "skimage numpy scipy PIL imageio networkx tifffile",
        "pillow": "PIL",
        "opencv-python": "cv2 numpy",
        "opencv-python-headless": "cv2 numpy",
        "requests": "requests urllib3 certifi idna charset_normalizer",
        "fal-client": "fal_client httpx httpx_sse websockets msgpack",
        "fal": "fal fal_client " + " ".join(sorted(BROUGHT_BY_FAL)),
        "onnxruntime-gpu": "onnxruntime numpy",
        "onnxruntime": "onnxruntime numpy",
        "imageio": "imageio numpy PIL",
        "imageio-ffmpeg": "imageio_ffmpeg",
        "moviepy": "moviepy numpy imageio imageio_ffmpeg decorator proglog PIL dotenv",
        "librosa": "librosa numpy scipy sklearn numba soundfile joblib audioread",
        "soundfile": "soundfile numpy cffi",
        "hf-transfer": "hf_transfer",
        "hf-xet": "hf_xet",
        "einops": "einops",
        "openai": "openai httpx tqdm jiter distro",
        "aiohttp": "aiohttp yarl multidict attr",
        "websockets": "websockets",
        "pydantic": "pydantic",
        "fastapi": "fastapi starlette",
        "python-multipart": "multipart python_multipart",
        "ninja": "ninja",
        "flash-attn": f"flash_attn einops {_TORCH}",
        "aiortc": "aiortc av aioice cryptography numpy google_crc32c pyee pylibsrtp OpenSSL cffi",
        "setuptools": "setuptools pkg_resources",
        "wheel": "wheel",
        "tqdm": "tqdm",
        "httpx": "httpx",
        "ftfy": "ftfy wcwidth",
        "gguf": "gguf numpy",
        "timm": f"timm torchvision {_TORCH} {_HUB} safetensors",
        "compel": f"compel diffusers {_TRANSFORMERS} {_TORCH}",
    }.items()
}
GPU_PACKAGES: Final = named(
    """torch vllm diffusers xformers accelerate onnxruntime-gpu flash-attn sglang tensorrt
    bitsandbytes faster-whisper openai-whisper tensorflow jax torchvision torchaudio triton cupy
    cupy-cuda12x optimum auto-gptq sentence-transformers ctranslate2 llama-cpp-python rembg
    ultralytics insightface"""
)
_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?")


def distribution(requirement: str) -> str:
    """Return the normal name of the package that *requirement* asks for; empty where it names none.

    Options (``--extra-index-url …``), paths and bare addresses name none.
    """
    text = requirement.strip()
    if not text or text.startswith(("-", ".", "/", "#")):
        return ""
    if "://" in text and "@" not in text.split("://")[0]:
        egg = re.search(r"#egg=([A-Za-z0-9._-]+)", text)
        return normal(egg[1]) if egg else ""
    found = _NAME.match(text)
    return normal(found[1]) if found else ""


def version_part(requirement: str) -> str:
    """Return what stands behind the name: a version, an address, or nothing; no marker."""
    found = _NAME.match(requirement.strip())
    rest = requirement.strip()[found.end() :] if found else requirement.strip()
    return rest.split(";")[0].split(" #")[0].strip()


def normal(name: str) -> str:
    """Return a package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def providers(root: str) -> frozenset[str]:
    """Return the packages that are known to provide the import *root*, by their own name."""
    usual = DISTRIBUTIONS.get(root, root)
    return frozenset({normal(usual), normal(root), *ALSO.get(root, ())})


def is_standard(root: str) -> bool:
    """Return whether an import is part of Python."""
    return root in sys.stdlib_module_names or root == "__future__"
