"""Which hop is broken first: from verdicts to causes, consequences and what to type. Pure."""
