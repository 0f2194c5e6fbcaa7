"""Graph to graph: the derivatives of a program are nodes like any others."""
