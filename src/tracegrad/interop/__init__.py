"""Exchange with other tools: NIR graphs, read and written."""

from tracegrad.interop.load import from_nir as from_nir
from tracegrad.interop.load import rule_from_nir as rule_from_nir
from tracegrad.interop.save import to_nir as to_nir
from tracegrad.interop.save import write_nir as write_nir
