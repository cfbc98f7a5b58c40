"""For all tests: no property test fails because the machine is slow, and none only now and then."""

import os

from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("steady")
