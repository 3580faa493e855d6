"""The only way to a model for the web layer, apps and knowledge."""
