"""The log: written, published, verified, replayed, exported and, for people's texts, erased."""
