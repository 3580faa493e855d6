"""What comes in a bundle: recipes for the starter models, their building, checking and installing."""
