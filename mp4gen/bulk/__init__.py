"""Many tracks at once, and the record of them that survives a kill."""
