"""Data sets: cards, tables, labels, features, simulators, splits and their encoding."""
