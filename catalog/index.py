"""`CatalogIndex`: the shipped cards by id, read one at a time by offset."""
