"""Which images and workflow actions are used, each by exact version and, once looked up, by digest or commit."""
