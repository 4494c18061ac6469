"""The runs worth repeating, one file each."""
