"""One real request, seen at every place it passes: by packet capture and connection tables."""
