"""Studies: spaces, plans, storage, trials, and the configurations that won."""
