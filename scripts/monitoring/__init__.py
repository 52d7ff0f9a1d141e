"""Alert rules, recording rules and dashboard, made of the SLO seed. Run by ``make monitoring``."""
