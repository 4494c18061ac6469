"""Photos: opened upright, their faces found and cut out."""
