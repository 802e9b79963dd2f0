"""Records and scores on disk, and their compact form."""
