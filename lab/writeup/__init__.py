"""The write-up of one run of the checks: one page, or one document. Pure."""
