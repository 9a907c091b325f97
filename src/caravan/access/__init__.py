"""Who may do what: users, their roles and sessions, and the log of what was done."""
