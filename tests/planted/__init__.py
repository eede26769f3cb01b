"""Planted bugs: a rule removed, or one line wrong, to see whether the searches notice."""
