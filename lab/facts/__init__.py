"""What is: typed facts of a lab, read in one round trip per node. No judgement."""
