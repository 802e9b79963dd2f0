"""How arms are judged: one file each."""
