"""The commands: geartrain, and the drop-in gearmand, gearman and gearadmin."""
