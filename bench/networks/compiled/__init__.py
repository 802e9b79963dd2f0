"""The fused step in C, compiled on this machine, and its loader."""
