"""What the gate of dependencies reads: lockfile, advisories, licences, SBOM."""
