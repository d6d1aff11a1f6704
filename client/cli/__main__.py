"""`python -m client.cli`: the command without an installed script, for torchrun and the like."""

from client.cli import app

app(prog_name="vl2v")
