"""The rules of a release: standard library only, frozen values, no clock, no IO."""
