"""The proof of the air gap: what is gathered, the report that the box signs, the tries to leave, and the firewall."""
