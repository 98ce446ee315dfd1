"""Models beside each other: time, memory, energy and CO2 per volume and per slice, in one interleaved run."""
