"""How each influence is told in equations, one a file: its recursion, and the change it makes."""

from tracegrad.inspect.change import change as change
from tracegrad.inspect.change import seen_by as seen_by
from tracegrad.inspect.influences import block as block
from tracegrad.inspect.influences import factored as factored
from tracegrad.inspect.influences import forward as forward
from tracegrad.inspect.influences import full as full
from tracegrad.inspect.influences import graph as graph
from tracegrad.inspect.influences import immediate as immediate
from tracegrad.inspect.influences import kronecker as kronecker
from tracegrad.inspect.influences import masked as masked
from tracegrad.inspect.influences import rank_one as rank_one
from tracegrad.inspect.influences import rewarded as rewarded
from tracegrad.inspect.recursion import recursion as recursion
