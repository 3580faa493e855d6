"""The encrypted SQLite file: connect, migrate, transact; encrypted blobs; the audit log."""
