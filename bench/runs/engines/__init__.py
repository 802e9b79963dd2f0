"""Where packs run: one file each."""
