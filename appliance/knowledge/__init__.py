"""Knowledge: bases, reading documents, splitting, indexes, retrieval, citations."""
