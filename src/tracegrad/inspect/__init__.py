"""What a rule is worth before it trains: how close its gradient is to the exact one."""

from tracegrad.inspect.fidelity import Fidelity as Fidelity
from tracegrad.inspect.fidelity import Trial as Trial
from tracegrad.inspect.fidelity import assert_faithful as assert_faithful
from tracegrad.inspect.fidelity import fidelity as fidelity
from tracegrad.inspect.fidelity import judge as judge
