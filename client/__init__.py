"""The client: buys embeddings once and distils them into a small model of its own."""

import shared

if getattr(shared, "DISTRIBUTION", None) != "vl2v":
    raise ImportError(
        f"another package named 'shared' shadows vl2v's own ({shared.__file__}): "
        "install vl2v into a virtual environment of its own"
    )
