"""Private spaces: an account's own secret rotation of every vector it buys.

All cosines inside the account stay what they were; a vector of another account, or of the public
model, says nothing beside them. What it does not prevent is said in `rotations`.
"""

from vendor_api.spaces.rotations import Rotation
from vendor_api.spaces.service import Space, Spaces

__all__ = ["Rotation", "Space", "Spaces"]
