"""Small real media files, made where a test needs them."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# av is typed in part only.

import io
import json
import math
import struct
from array import array
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from PIL import Image, ImageDraw


def picture(path: Path, size: tuple[int, int] = (64, 48), colour: str = "tomato") -> Path:
    """Write a picture with a disc in it; the ending of *path* names the format."""
    image = Image.new("RGB", size, colour)
    ImageDraw.Draw(image).ellipse((4, 4, size[0] // 2, size[1] // 2), fill="navy")
    image.save(path)
    return path


def png_bytes(colour: str = "tomato", size: tuple[int, int] = (8, 8)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def noise(path: Path, size: tuple[int, int]) -> Path:
    """Write a picture that compresses badly."""
    Image.effect_noise(size, 120).convert("RGB").save(path)
    return path


def video(
    path: Path,
    *,
    frames: int = 24,
    rate: int = 12,
    size: tuple[int, int] = (160, 96),
    sound: bool = False,
    codec: str = "libx264",
    colour: str | None = None,
) -> Path:
    """Write a video in which a disc crosses from left to right, or one of a single *colour*."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        track = container.add_stream("aac", rate=44100) if sound else None
        for number in range(frames):
            image = Image.new("RGB", size, colour or "darkgreen")
            if colour is None:
                left = number * (size[0] - 30) // frames
                ImageDraw.Draw(image).ellipse((left, 30, left + 30, 60), fill="gold")
            container.mux(stream.encode(av.VideoFrame.from_image(image)))
        if track is not None:
            for frame in _tone(int(44100 * frames / rate), 0.5):
                container.mux(track.encode(frame))
            container.mux(track.encode(None))
        container.mux(stream.encode(None))
    return path


def index_first(source: Path, target: Path) -> Path:
    """Copy a video so that its index comes before its frames."""
    with (
        av.open(str(source)) as old,
        av.open(str(target), "w", options={"movflags": "faststart"}) as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return target


def sound(
    path: Path,
    *,
    seconds: float = 2.0,
    level: float = 0.5,
    codec: str = "pcm_s16le",
    rate: int = 44100,
) -> Path:
    """Write a sine of 440 hertz with a peak of *level* of full scale."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate)
        for frame in _tone(int(rate * seconds), level, rate):
            for part in resampler.resample(frame):
                container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def _tone(samples: int, level: float, rate: int = 44100) -> list[av.AudioFrame]:
    frames: list[av.AudioFrame] = []
    for start in range(0, samples, 1024):
        count = min(1024, samples - start)
        frame = av.AudioFrame(format="fltp", layout="mono", samples=count)
        frame.sample_rate = rate
        frame.pts = start
        frame.time_base = Fraction(1, rate)
        wave = [level * math.sin((start + at) * 440 * math.tau / rate) for at in range(count)]
        padding = frame.planes[0].buffer_size // 4 - count
        frame.planes[0].update(array("f", [*wave, *[0.0] * padding]).tobytes())
        frames.append(frame)
    return frames


CUBE = [(x, y, z) for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)]
SIDES = [
    (0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
    (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3),
]  # fmt: skip


def glb(
    path: Path,
    points: Sequence[tuple[float, float, float]] = CUBE,
    triangles: Sequence[tuple[int, int, int]] = SIDES,
    **more: Any,
) -> Path:
    """Write a red mesh as GLB; *more* is added to the document."""
    body = array("f", [value for point in points for value in point]).tobytes()
    order = array("I", [corner for triangle in triangles for corner in triangle]).tobytes()
    document: dict[str, Any] = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "materials": [{"pbrMetallicRoughness": {"baseColorFactor": [0.8, 0.05, 0.05, 1]}}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "material": 0}]}],
        "buffers": [{"byteLength": len(body) + len(order)}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": len(body)},
            {"buffer": 0, "byteOffset": len(body), "byteLength": len(order)},
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": len(points), "type": "VEC3"},
            {"bufferView": 1, "componentType": 5125, "count": len(triangles) * 3, "type": "SCALAR"},
        ],
    }
    text = json.dumps(document | more).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(body) + len(order), b"BIN\x00") + body + order
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
    return path


def safetensors(path: Path, *, cut: int = 0) -> Path:
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16 - cut))
    return path
