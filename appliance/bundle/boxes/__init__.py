"""Packs that one box makes for another: the documents of a base, sealed for the receiver, signed by the sender."""
