"""Makes `broker` and `demo` the installed packages in every test process.

pytest names the test module `broker/tests/x/test_y.py` `broker.tests.x.test_y`, and would take the directory `broker` for
that package if the real one were not imported first. Hypothesis has no deadlines: a slow machine is no failure.
"""

from hypothesis import settings

import broker
import demo

assert broker.__file__ is not None, "the package broker is not installed; ./board sets everything up"
assert demo.__file__ is not None, "the package demo is not installed; ./board sets everything up"
settings.register_profile("board", deadline=None)
settings.load_profile("board")
