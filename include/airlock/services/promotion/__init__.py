"""From an approved release to a moved alias, back again, and what serving may trust."""
