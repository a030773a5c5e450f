"""A manifest and the files it names, settled: files have digests, targets their options, toolchains their pins."""
