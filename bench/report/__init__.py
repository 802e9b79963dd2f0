"""From records to what people read: leaderboards, tables, the terminal."""
