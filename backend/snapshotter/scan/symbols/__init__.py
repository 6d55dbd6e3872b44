"""Symbols and imports of source files, by tree-sitter and the grammars of its authors."""

from snapshotter.scan.symbols.analysis import analyze
from snapshotter.scan.symbols.languages import LANGUAGES, refine
from snapshotter.scan.symbols.records import Analysis, Import, Symbol
from snapshotter.scan.symbols.resolve import SourceTree
from snapshotter.scan.symbols.workers import Workers

__all__ = ["LANGUAGES", "Analysis", "Import", "SourceTree", "Symbol", "Workers", "analyze", "refine"]
