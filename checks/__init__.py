"""Questions asked of a running lab; ``tests/`` asks questions of our code, without one."""
