"""Whole bakes of healthy canaries, judged every minute: false alarms; and of bad ones, so that a judge that never fails anybody fails here.

Small and seeded; the benchmark (`make bench-judge`) does the same with thousands of bakes.
"""

import math
from collections.abc import Callable
from random import Random

import pytest

from aml_canary.domain.judge.coarse import PERCENTS, rank
from aml_canary.domain.judge.judging import judge
from aml_canary.domain.judge.minutes import Arm, Minute
from aml_canary.domain.manifest import Judge

MINUTES = 20
RULES = Judge(longest_minutes=MINUTES, confidence="fast")
RUNS = 40
# At a risk of 5 %, 40 healthy canaries are failed more than 6 times with a probability below 1 %.
ALLOWED = 6

World = Callable[[Random, int, bool], tuple[float, float, int]]  # (share of errors, latency, size of a cluster) of an arm in a minute


def healthy(random: Random, minute: int, canary: bool) -> tuple[float, float, int]:
    return 0.005, 1.0, 1


def many_errors(random: Random, minute: int, canary: bool) -> tuple[float, float, int]:
    return 0.05, 1.0, 1


def incident(random: Random, minute: int, canary: bool) -> tuple[float, float, int]:
    return (0.2, 2.0, 1) if 8 <= minute < 14 else (0.005, 1.0, 1)


def day(random: Random, minute: int, canary: bool) -> tuple[float, float, int]:
    wave = math.sin(minute / 5)
    return 0.01 * (1 + 0.6 * wave), 1 + 0.25 * wave, 1


def clusters(random: Random, minute: int, canary: bool) -> tuple[float, float, int]:
    return 0.005, 1.0, 3


def cold(random: Random, minute: int, canary: bool) -> tuple[float, float, int]:
    return 0.005, {0: 3.0, 1: 1.6, 2: 1.2}.get(minute, 1.0) if canary else 1.0, 1


def broken(random: Random, minute: int, canary: bool) -> tuple[float, float, int]:
    return 0.1 if canary else 0.005, 1.0, 1


def slow(random: Random, minute: int, canary: bool) -> tuple[float, float, int]:
    return 0.005, 2.0 if canary else 1.0, 1


def count(random: Random, requests: int, share: float) -> int:
    return sum(random.random() < share for _ in range(requests))


def arm(random: Random, requests: int, errors: float, times: float, size: int) -> Arm:
    wrong = 0
    for _ in range(count(random, requests, errors / size)):
        wrong += 1
        while random.random() < 1 - 1 / size:
            wrong += 1
    requests = max(requests, wrong)
    if not requests:
        return Arm()
    ordered = sorted(100 * times * math.exp(random.gauss(0, 0.6)) for _ in range(requests))
    answers = {status: number for status, number in ((200, requests - wrong), (500, wrong)) if number}
    return Arm(answers, {percent: ordered[rank(requests, percent) - 1] for percent in PERCENTS})


def failed(world: World, rate: int, share: float) -> int:
    """In how many of RUNS bakes, judged every minute, the canary fails."""
    random = Random(f"{world.__name__} {rate} {share}")
    total = 0
    for _ in range(RUNS):
        minutes: list[Minute] = []
        for at in range(MINUTES):
            asked = count(random, 2 * rate, 0.5)
            own = count(random, asked, share)
            arms = [arm(random, own, *world(random, at, True)), arm(random, asked - own, *world(random, at, False))]
            minutes.append(Minute(29_000_000 + at, arms[1], arms[0]))
            if judge(minutes, RULES, share).word == "fail":
                total += 1
                break
    return total


@pytest.mark.parametrize("world", [healthy, many_errors, incident, day, clusters, cold], ids=lambda world: world.__name__)
@pytest.mark.parametrize(("rate", "share"), [(6, 0.1), (6, 0.5), (60, 0.05), (60, 0.5)])
def test_a_healthy_canary_is_seldom_failed(world: World, rate: int, share: float) -> None:
    assert failed(world, rate, share) <= ALLOWED


@pytest.mark.parametrize(("world", "rate", "share"), [(broken, 60, 0.2), (broken, 200, 0.1), (slow, 60, 0.1), (slow, 6, 0.5)])
def test_a_bad_canary_is_mostly_failed(world: World, rate: int, share: float) -> None:
    assert failed(world, rate, share) >= 34
