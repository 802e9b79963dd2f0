"""What is of the MetaBalance paper and of nothing else: its ladder, its tables, its findings."""
