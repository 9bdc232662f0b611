"""What the tools that deploy share: who deploys, and money and times in words."""

from collections.abc import Mapping
from decimal import Decimal

from tools.deploy_port import Deployer
from tools.deploy_records import Finding, MachineAdvice
from tools.errors import NotConfiguredError
from tools.ports import Call
from tools.tool import Result
from tools.wording import one_line

FINDINGS_SHOWN = 25
PATCH_SHOWN = 3000  # characters
# What fal's words for the states of runners say to a person.
STATES: Mapping[str, str] = {
    "PENDING": "starting",
    "SETUP": "setting up",
    "IDLE": "idle",
    "RUNNING": "working",
    "DRAINING": "finishing its calls",
    "TERMINATING": "ending",
    "TERMINATED": "ended",
}
CENTS_FROM = Decimal("0.1")  # dollars; of less, more than cents is said


def deployer_of(call: Call) -> Deployer:
    """Return what deploys here.

    Raises:
        NotConfiguredError: deploying is off.
    """
    if call.rooms.deployer is None:
        raise NotConfiguredError(
            "deploying is off", hint="a person sets FALKIT_DEPLOY to local or cloud"
        )
    return call.rooms.deployer


def state_words(state: str) -> str:
    """Return a runner's state in plain words, whatever fal calls it."""
    return STATES.get(state, state.lower().replace("_", " "))


class FindingView(Result):
    """One breach of a rule."""

    code: str
    severity: str
    line: int
    message: str
    fix: str = ""
    file: str = ""

    @classmethod
    def of(cls, finding: Finding) -> "FindingView":
        return cls(
            code=finding.code,
            severity=finding.severity,
            line=finding.line,
            message=one_line(finding.message, 200),
            fix=one_line(finding.fix, 160),
            file=finding.file,
        )


def finding_words(finding: FindingView) -> str:
    """Return *finding* as compilers say it."""
    fix = f" → {finding.fix}" if finding.fix else ""
    return f"{finding.file}:{finding.line} {finding.severity} {finding.code} {finding.message}{fix}"


def hourly(machine: MachineAdvice | None) -> float | None:
    """Return the dollars that one runner costs an hour at the list price, None where unknown."""
    if machine is None:
        return None
    price = machine.price.high if machine.price.high is not None else machine.price.low
    return None if price is None else float(price)


def machine_words(machine: MachineAdvice) -> str:
    """Return what *machine* costs and why it suits, in a few short sentences."""
    said = [f"machine {machine.machine}: {machine.reason}" if machine.reason else machine.machine]
    price = machine.price
    if price.high is not None or price.low is not None:
        low = f"{_money(price.low)} to " if price.low is not None and price.high is not None else ""
        said.append(f"{low}{_money(price.high if price.high is not None else price.low)} an hour")
    for amount, words in (
        (machine.idle_hour, "an hour while nobody calls"),
        (machine.busy_hour, "an hour with the most runners"),
        (machine.per_call, "a call at that load"),
        (machine.month, "in 30 days at that load"),
    ):
        if amount is not None:
            said.append(f"{_money(amount)} {words}")
    if machine.cold_share is not None:
        said.append(f"{machine.cold_share:.0%} of calls wait for a runner to start")
    return "; ".join([*said, *machine.assumptions[:4]])


def _money(dollars: Decimal | None) -> str:
    if dollars is None:
        return "$?"
    if dollars >= CENTS_FROM:
        return f"${dollars:.2f}".removesuffix(".00")
    return f"${float(dollars):.4g}"
