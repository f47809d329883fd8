"""The mutation matrix: every fault put into a real lab, and what every check says of it."""
