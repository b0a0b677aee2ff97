"""What the simulated canaries are like: healthy in several ways, and bad in many. Values only; may import the standard library.

Stable answers 0.5 % of its requests with an error and half of them within 100 ms, lognormal with sigma 0.6, unless said otherwise.
"""

from dataclasses import dataclass, replace

MINUTES = 30
RATES = (6, 60, 600, 6000)
SHARES = (1, 5, 10, 50)


@dataclass(frozen=True)
class Family:
    """One kind of canary. What differs from the plainest healthy one is what is set.

    `healthy` is the name of the same world without the fault ("" for a healthy one), against which false alarms are counted.
    `errors` is the share of errors of both arms, `worse` the canary's from minute `onset` on; `leak`: it gets there little by little.
    `slower` multiplies the canary's latency for the `affected` share of its requests: the slowest of them if `tail`, else any.
    `bimodal` is the share of requests that take three times as long in both arms; `worse_modes` the canary's.
    The rest are worlds both arms live in: `diurnal`, `incident`, `clusters` (mean size of a client's retries of one error), `gaps`
    (minutes without data), and two that only a canary has: `cold` (slow while it warms up) and `split` (odds of the share it really gets).
    """

    name: str
    text: str
    healthy: str = ""
    errors: float = 0.005
    worse: float | None = None
    onset: int = 0
    leak: bool = False
    slower: float = 1.0
    affected: float = 1.0
    tail: bool = False
    bimodal: float = 0.0
    worse_modes: float | None = None
    diurnal: bool = False
    incident: bool = False
    clusters: float = 1.0
    gaps: bool = False
    cold: bool = False
    split: float = 1.0

    @property
    def bad(self) -> bool:
        return bool(self.healthy)


def at_odds(ratio: float, share: float = 0.005) -> float:
    """The share of errors whose odds are `ratio` times those of `share`."""
    odds = ratio * share / (1 - share)
    return odds / (1 + odds)


HEALTHY = Family("healthy", "nothing is wrong")

HEALTHY_FAMILIES = (
    HEALTHY,
    replace(HEALTHY, name="healthy 2 %", text="both answer 2 % with an error", errors=0.02),
    replace(HEALTHY, name="healthy 0 %", text="nobody answers with an error", errors=0.0),
    replace(HEALTHY, name="diurnal", text="traffic, errors and latency of both rise and fall", diurnal=True),
    replace(HEALTHY, name="shared incident", text="both answer 20 % with an error, half as fast, for 6 minutes", incident=True),
    replace(
        HEALTHY, name="clustered retries", text="an error is retried, and answered with an error, 2 more times on average", clusters=3.0
    ),
    replace(HEALTHY, name="cold start", text="the canary is 3, 1.6 and 1.2 times as slow in its first three minutes", cold=True),
    replace(HEALTHY, name="two modes", text="20 % of both arms' requests take three times as long", bimodal=0.2),
    replace(
        HEALTHY, name="telemetry gap", text="five minutes without data of either, a tenth of the others without the canary's", gaps=True
    ),
)


def _bad(name: str, text: str, healthy: str = "healthy", **what: object) -> Family:
    base = next(family for family in HEALTHY_FAMILIES if family.name == healthy)
    return replace(base, name=name, text=text, healthy=healthy, **what)  # type: ignore[arg-type]


BAD_FAMILIES = (
    _bad("errors x1.5", "odds of an error 1.5 times stable's", worse=at_odds(1.5)),
    _bad("errors x2", "twice the odds", worse=at_odds(2)),
    _bad("errors x5", "5 times the odds", worse=at_odds(5)),
    _bad("errors x10", "10 times the odds", worse=at_odds(10)),
    _bad("all errors", "the canary answers nothing right", worse=1.0),
    _bad("0 against 3 %", "3 % errors where stable has none", healthy="healthy 0 %", worse=0.03),
    _bad("late onset", "5 % errors from minute 10 on", worse=0.05, onset=10),
    _bad("slow leak", "errors rise from 0.5 % to 5 % over the bake", worse=0.05, leak=True),
    _bad("latency x1.2", "all requests take 1.2 times as long", slower=1.2),
    _bad("latency x1.5", "1.5 times as long", slower=1.5),
    _bad("latency x2", "twice as long", slower=2.0),
    _bad("tail only", "the slowest 2 % take 4 times as long", slower=4.0, affected=0.02, tail=True),
    _bad("more slow ones", "40 % of the requests are of the slow mode, 20 % of stable's", healthy="two modes", worse_modes=0.4),
    _bad("bad with gaps", "10 times the odds of an error, with the telemetry gap", healthy="telemetry gap", worse=at_odds(10)),
)

# Neither healthy nor bad: nothing can be learnt from it, and saying so is right. Not among the cells that are compared with others.
BROKEN_SPLIT = replace(
    HEALTHY, name="broken split", text="the canary gets four times the odds of its share (31 % of the requests for 10 %)", split=4.0
)

FAMILIES = (*HEALTHY_FAMILIES, *BAD_FAMILIES, BROKEN_SPLIT)


def family(name: str) -> Family:
    """The family of this name. Raises StopIteration where there is none."""
    return next(known for known in FAMILIES if known.name == name)
