"""What the commands and the calls from Python both do: one file each."""
