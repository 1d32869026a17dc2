"""Import and export: files in many formats to keys and values, and back."""
