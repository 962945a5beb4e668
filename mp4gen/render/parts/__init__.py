"""What changes in a frame: each part draws on boxes of its own. Knows no codec and no files."""
