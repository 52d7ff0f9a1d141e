"""An oracle for the SLIs in plain Python, and Hypothesis strategies for telemetry files."""
