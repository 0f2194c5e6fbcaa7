"""Value-preserving rewrites of the graph: stable forms before differentiation, shared exponentials after it."""

from gradc.rewrite.finish import by_totals, condense, share_exponentials, without_stops
from gradc.rewrite.rebuild import needed_first, rebuild
from gradc.rewrite.stable import stabilise

__all__ = ["by_totals", "condense", "needed_first", "rebuild", "share_exponentials", "stabilise", "without_stops"]
