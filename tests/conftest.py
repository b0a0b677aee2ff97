"""For all tests: no property fails because the machine was busy. Speed is measured in `make bench`."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
