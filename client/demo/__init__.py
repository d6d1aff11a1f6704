"""The demo's own data: open icons as labelled pictures in four drawing styles."""

from client.demo.dataset import DemoData, write_contact_sheets, write_dataset

__all__ = ["DemoData", "write_contact_sheets", "write_dataset"]
