"""`python -m vendor_api.cli`: the command without an installed script."""

from vendor_api.cli import app

app(prog_name="vl2v-vendor")
