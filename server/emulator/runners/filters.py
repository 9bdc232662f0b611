"""Sounds sent through filters of the sound library."""

from array import array

from av.audio.frame import AudioFrame
from av.error import BlockingIOError as NotYetError
from av.error import EOFError as EndError
from av.filter import Graph

from server.emulator.runners.tones import Sound

_BLOCK = 4096


def filtered(sound: Sound, chain: str, *, rate: int = 0) -> Sound:
    """*sound* sent through *chain* ("lowpass=f=200,afftdn"), at *rate* where one is given."""
    graph = Graph()
    links = [graph.add_abuffer(sample_rate=sound.rate, format="s16", layout="mono")]
    form = "aformat=sample_fmts=s16:channel_layouts=mono"
    for part in f"{chain},{form}:sample_rates={rate or sound.rate}".split(","):
        name, _, settings = part.partition("=")
        links.append(graph.add(name, settings or None))
    links.append(graph.add("abuffersink"))
    graph.link_nodes(*links).configure()
    whole = array("h")
    for start in range(0, len(sound.samples), _BLOCK):
        part = sound.samples[start : start + _BLOCK]
        frame = AudioFrame("s16", "mono", len(part))
        frame.sample_rate = sound.rate
        frame.planes[0].update(part.tobytes())
        frame.pts = start
        graph.push(frame)
        _pull(graph, whole)
    graph.push(None)
    _pull(graph, whole)
    return Sound(whole, rate or sound.rate)


def _pull(graph: Graph, whole: "array[int]") -> None:
    while True:
        try:
            frame = graph.pull()
        except (NotYetError, EndError):
            return
        if isinstance(frame, AudioFrame):
            whole.frombytes(bytes(frame.planes[0])[: frame.samples * 2])
