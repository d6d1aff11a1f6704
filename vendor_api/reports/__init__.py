"""What the books say, as figures and rows to look at: queries only, nothing is changed here.

Each takes a connection, best over one snapshot, and says by which rule its figures tie to the journal.
"""
