"""Download the file of a link, check it, and move it to its target."""
