"""The demo's music: three short pieces, made of arithmetic; knows nothing of videos or servers."""

from .pieces import PIECES
from .score import Piece, write_tune

__all__ = ["PIECES", "Piece", "write_tune"]
