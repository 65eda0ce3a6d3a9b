"""Poses in pictures and videos: one person's tracking, drawing, sources and sinks."""

from edgehr.live.single import SinglePerson

__all__ = ["SinglePerson"]
