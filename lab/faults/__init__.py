"""Faults to be put into a running lab: what each breaks, what it shows, how it is healed."""
