"""The evidence bundle of one release: what is in it, how it reads, and how it is checked.

This package travels inside every bundle, where a stranger runs it: it imports the standard library
alone, runs on Python 3.9 and newer, and knows of Airlock's own code only the gates, which travel
with it. The product uses the same code to write the readable documents and to check a bundle, so
there is one implementation.

Rules:
* A bundle has exact bytes (log entries, policy, pipeline, evidence, grants, checkpoints) and
  readable documents. The latter are made from the former, and by the check made again and
  compared byte for byte: a document cannot say other things than the signed log.
* Whoever checks brings the keys to trust. Those inside are only shown, unless none were brought.

It opens no connection, and it runs nothing it reads.
"""

from __future__ import annotations

#: The version of the bundle's form. The documents of another one cannot be made again here.
VERSION = 2
