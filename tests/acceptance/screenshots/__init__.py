"""Pictures of each page of the console, taken from a real system: `script/screenshots`."""
