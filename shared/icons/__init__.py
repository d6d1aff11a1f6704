"""Open icon sets as a multi-domain picture corpus: the data both sides of the demo start from."""

from shared.icons.names import Naming
from shared.icons.packages import NpmMissing, install_packages
from shared.icons.plan import Plan, load_plan
from shared.icons.render import Icon, read_icons, render_png

__all__ = [
    "Icon",
    "Naming",
    "NpmMissing",
    "Plan",
    "install_packages",
    "load_plan",
    "read_icons",
    "render_png",
]
