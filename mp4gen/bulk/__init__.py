"""Convert many tracks in one run, and record them so that a killed run can resume."""
