"""Who can be asked for vectors: the vendor, an OpenAI-compatible endpoint, a model on this machine."""

from client.teachers.choosing import open_teacher
from client.teachers.protocol import Recall, Teacher
from client.teachers.terms import NO_TERMS, Terms
from client.teachers.vendor import VendorTeacher

__all__ = ["NO_TERMS", "Recall", "Teacher", "Terms", "VendorTeacher", "open_teacher"]
