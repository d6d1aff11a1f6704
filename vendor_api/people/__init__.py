"""The people who open the dashboard: names, roles, passwords, sessions, one-time links, lock-out."""
