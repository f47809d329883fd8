"""The node image: what is in it, how it is built, where it is kept."""
