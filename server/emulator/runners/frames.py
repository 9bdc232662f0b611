"""Pictures taken out of given videos."""

from server.emulator.runners.footage import FootageReel, probed
from server.emulator.runners.label import stamped
from server.emulator.runners.picture_file import keep
from server.emulator.runners.request import Request
from server.emulator.work import Made


def frame_all(request: Request) -> list[Made]:
    """The first, middle or last frame of the given video, or every so many of its frames.

    Raises:
        RunnerError: the video cannot be read.
    """
    footage = probed(request.media("video")[0])
    interval = request.number("frame_interval")
    if interval:
        most = int(min(16, request.number("max_frames") or 8))
        places = list(range(0, footage.count, max(1, int(interval))))[:most]
    else:
        named = request.word("frame_type")
        places = [{"last": footage.count - 1, "middle": footage.count // 2}.get(named, 0)]
    reel = FootageReel(footage, footage.size)
    last = max(1, footage.count - 1)
    return [keep(stamped(reel.frame(place / last).copy()), request, "frame") for place in places]
