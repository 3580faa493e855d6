"""What people do with models and documents: conversations, answers with sources, and their runs."""
