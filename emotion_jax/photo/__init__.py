"""Photos: opened as they were taken, faces found in them, and cut out."""
