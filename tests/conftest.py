"""For all tests: no property fails because the machine was busy. Speed is measured in `make bench`."""

from hypothesis import HealthCheck, settings

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
