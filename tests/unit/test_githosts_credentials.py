"""Each host's own way of showing that a delivery is its own, beside what all have in common: tokens, clocks, passwords, prefixes."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aml_canary.githosts import azuredevops, bitbucket_cloud, bitbucket_dc, gitea, gitlab
from aml_canary.githosts.delivery import Forged, NotSigned
from tests.unit.fixtures.webhooks.deliveries import NOW, SECRET, body, signed, standard

# A machine that is busy is no failure.
at_leisure = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

BODY = body("gitlab", "push")
KEY = bytes(range(32))
SIGNING_SECRET = "whsec_" + base64.b64encode(KEY).decode()


def basic(credentials: bytes) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(credentials).decode()}


def test_gitlabs_plain_token_is_compared_with_each_secret() -> None:
    gitlab.verify({"x-gitlab-token": SECRET}, BODY, ["another", SECRET], NOW)
    for token in (SECRET + " ", SECRET.upper(), "another"):
        with pytest.raises(Forged):
            gitlab.verify({"x-gitlab-token": token}, BODY, ["", SECRET], NOW)
    with pytest.raises(NotSigned):
        gitlab.verify({"x-gitlab-token": ""}, BODY, ["", SECRET], NOW)


def test_gitlabs_token_may_have_letters_of_any_language() -> None:
    as_servers_hand_it_on = "pässwörd".encode().decode("latin-1")
    gitlab.verify({"x-gitlab-token": as_servers_hand_it_on}, BODY, ["pässwörd"], NOW)


def test_the_signature_that_standard_webhooks_gives_as_its_example_is_accepted() -> None:
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    gitlab.verify(headers, b'{"test": 2432232314}', ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], 1614265330.5)


def test_gitlabs_signature_is_by_the_bytes_that_the_secret_stands_for() -> None:
    gitlab.verify(standard(BODY, KEY, NOW), BODY, [SECRET, SIGNING_SECRET], NOW)
    with pytest.raises(Forged):
        gitlab.verify(standard(BODY, SIGNING_SECRET.encode(), NOW), BODY, [SIGNING_SECRET], NOW)


def test_one_of_gitlabs_several_signatures_is_enough() -> None:
    headers = standard(BODY, KEY, NOW)
    for several in ("v1,AAAA {}", "{} v1,AAAA", "v1a,AAAA  {}"):
        gitlab.verify(headers | {"webhook-signature": several.format(headers["webhook-signature"])}, BODY, [SIGNING_SECRET], NOW)


@at_leisure
@given(st.floats(-1e6, 1e6))
@example(300.0)
@example(-300.0)
@example(300.1)
@example(-300.1)
def test_a_signed_delivery_is_good_for_five_minutes_by_either_clock(late: float) -> None:
    headers = standard(BODY, KEY, NOW)
    if abs(late) <= 300:
        gitlab.verify(headers, BODY, [SIGNING_SECRET], NOW + late)
    else:
        with pytest.raises(Forged, match="300 s"):
            gitlab.verify(headers, BODY, [SIGNING_SECRET], NOW + late)


@pytest.mark.parametrize("changed", [{"webhook-id": "another"}, {"webhook-timestamp": str(int(NOW) + 1)}])
def test_gitlabs_signature_covers_the_delivery_and_its_time(changed: dict[str, str]) -> None:
    with pytest.raises(Forged):
        gitlab.verify(standard(BODY, KEY, NOW) | changed, BODY, [SIGNING_SECRET], NOW)


@pytest.mark.parametrize("sent", ["", "nan", "1e9", "-1", "\u0661", "9" * 5000, "1791712800.0", " 1791712800"])
def test_a_time_that_is_none_is_refused(sent: str) -> None:
    with pytest.raises(Forged):
        gitlab.verify(standard(BODY, KEY, NOW) | {"webhook-timestamp": sent}, BODY, [SIGNING_SECRET], NOW)


@pytest.mark.parametrize("signature", ["", " ", "v1", "v1,", "v2,AAAA"])
def test_a_wrong_signature_is_refused_though_the_token_is_right(signature: str) -> None:
    headers = standard(BODY, KEY, NOW) | {"webhook-signature": signature, "x-gitlab-token": SECRET}
    with pytest.raises(Forged):
        gitlab.verify(headers, BODY, [SECRET, SIGNING_SECRET], NOW)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_*", "whsec_A"])
def test_a_signing_secret_that_stands_for_no_bytes_signs_nothing(secret: str) -> None:
    for key in (b"", secret.encode(), b"*"):
        with pytest.raises(Forged):
            gitlab.verify(standard(BODY, key, NOW), BODY, [secret], NOW)


def test_azure_devops_shows_a_password_of_whatever_user() -> None:
    for user in (b"", b"hook", "Ünal".encode()):
        azuredevops.verify(basic(user + b":" + SECRET.encode()), b"", ["another", SECRET], NOW)
    azuredevops.verify({"authorization": basic(b":a:b")["authorization"].replace("Basic", "bAsIc")}, b"", ["a:b"], NOW)


@pytest.mark.parametrize(
    "credentials", [SECRET.encode(), b":", b"", b"hook:" + SECRET.encode() + b"\n", SECRET.encode() + b":hook", b"\xff:\xff"]
)
def test_azure_devops_with_another_password_is_refused(credentials: bytes) -> None:
    with pytest.raises(Forged):
        azuredevops.verify(basic(credentials), b"", ["", SECRET], NOW)


@pytest.mark.parametrize("header", ["Basic", "Basic !", "Basic Og", "Basic " + "\u20ac"])
def test_what_is_not_base64_is_refused(header: str) -> None:
    with pytest.raises(Forged):
        azuredevops.verify({"authorization": header}, b"", [SECRET], NOW)


@pytest.mark.parametrize("header", ["", "Bearer " + SECRET, SECRET])
def test_another_way_than_basic_is_none(header: str) -> None:
    with pytest.raises(NotSigned):
        azuredevops.verify({"authorization": header}, b"", [SECRET], NOW)


@pytest.mark.parametrize("host", [bitbucket_cloud, bitbucket_dc, gitea], ids=lambda host: host.__name__)
def test_sha1_is_not_accepted(host: object) -> None:
    sha1 = "sha1=" + hmac.new(SECRET.encode(), BODY, hashlib.sha1).hexdigest()
    with pytest.raises((Forged, NotSigned)):
        host.verify({"x-hub-signature": sha1}, BODY, [SECRET], NOW)  # type: ignore[attr-defined]


def test_any_of_giteas_signatures_will_do_and_the_first_has_to_be_right() -> None:
    right = signed("forgejo", BODY)
    for header, value in right.items():
        gitea.verify({header: value}, BODY, [SECRET], NOW)
    gitea.verify(right | {"x-forgejo-signature": ""}, BODY, [SECRET], NOW)
    with pytest.raises(Forged):
        gitea.verify(right | {"x-forgejo-signature": "0" * 64}, BODY, [SECRET], NOW)
    with pytest.raises(Forged):
        gitea.verify({"x-hub-signature-256": right["x-gitea-signature"]}, BODY, [SECRET], NOW)
