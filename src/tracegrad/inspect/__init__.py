"""Instruments: how faithful a rule is, what it is in equations, and what it costs."""

from tracegrad.inspect.audit import Audit as Audit
from tracegrad.inspect.audit import audit as audit
from tracegrad.inspect.cost import Cost as Cost
from tracegrad.inspect.cost import Teaching as Teaching
from tracegrad.inspect.cost import cost as cost
from tracegrad.inspect.explain import explain as explain
from tracegrad.inspect.fidelity import Fidelity as Fidelity
from tracegrad.inspect.fidelity import Trial as Trial
from tracegrad.inspect.fidelity import assert_faithful as assert_faithful
from tracegrad.inspect.fidelity import fidelity as fidelity
from tracegrad.inspect.fidelity import judge as judge
