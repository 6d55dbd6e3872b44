"""Symbols and imports of source files, by tree-sitter and the grammars of its authors."""
