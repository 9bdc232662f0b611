"""How long things take on the emulator: a clock that tests and people can turn."""

from collections.abc import Mapping
from dataclasses import dataclass

# Seconds of work at speed 1, by what comes out; felt to be lifelike, far shorter than real models.
SECONDS: Mapping[str, float] = {"image": 1.2, "video": 4.0, "audio": 1.5, "3d": 3.0}
OTHER_SECONDS = 1.0
TRAINING_SECONDS = 6.0
QUEUE_SHARE = 0.15  # of the work's time is spent waiting first
SLOW = 10.0  # times slower when a fault asks for it without saying how slow


@dataclass(slots=True)
class Pace:
    """The speed of this process's clock: 1 as usual, 2 twice as fast, 0 without any waiting."""

    speed: float = 1.0

    def work(self, category: str, media_out: tuple[str, ...] = ()) -> float:
        """Return the seconds that a request of *category* takes at the least."""
        if not self.speed:
            return 0.0
        if category == "training":
            return TRAINING_SECONDS / self.speed
        known = [SECONDS[kind] for kind in media_out if kind in SECONDS]
        return (max(known) if known else OTHER_SECONDS) / self.speed

    def queue(self, category: str, media_out: tuple[str, ...] = ()) -> float:
        """Return the seconds that such a request queues at the least."""
        return self.work(category, media_out) * QUEUE_SHARE
