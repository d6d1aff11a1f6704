"""Style and scripts of the dashboard, the same for everybody."""

from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import Response

from shared.errors import ErrorCode
from vendor_api.dashboard.page import read_asset
from vendor_api.errors import VendorError

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

router = APIRouter(include_in_schema=False)

__all__ = ["router"]


@router.get("/dashboard/static/{name}")
async def get_asset(name: str) -> Response:
    """One file; its address names its content, so that a browser may keep it for a year."""
    kind = _TYPES.get(name.rpartition(".")[2])
    if kind is None or not files("vendor_api.dashboard").joinpath(f"static/{name}").is_file():
        raise VendorError(ErrorCode.NOT_FOUND, f"There is no file {name} here.")
    headers = {
        "cache-control": "public, max-age=31536000, immutable",
        "x-content-type-options": "nosniff",
    }
    return Response(read_asset("static", name), headers=headers, media_type=kind)
