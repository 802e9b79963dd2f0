"""Raw files: fetched, cached, unpacked and read."""
