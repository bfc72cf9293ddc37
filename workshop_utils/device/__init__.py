"""What looks after a board or an image: memory maps, builds, files for drives, consoles."""
