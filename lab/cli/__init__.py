"""The parts of the commands that tasks.py puts together."""
