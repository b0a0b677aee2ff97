"""Quota through the SDK, where nobody answers for it: told as a refusal that another try does not change."""

import pytest

from aml_canary.errors import Permanent
from aml_canary.gateways import azureml
from aml_emulator.process import RunningEmulator


def test_quota_that_is_not_offered_is_refused_at_once_with_azures_words(emulator: RunningEmulator) -> None:
    with pytest.raises(Permanent, match="Azure failed to read the quota: HTTP 501"):
        azureml.read_quota()
