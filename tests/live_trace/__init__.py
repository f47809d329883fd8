"""Tests of the live trace, on what real nodes captured."""
