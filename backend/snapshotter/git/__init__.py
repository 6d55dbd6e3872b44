"""Git's own formats and program: origins, refs, bundles, packs."""
