"""How things read on a terminal and on a page; no data access."""
