"""The images and workflow actions in use, each by exact version and, once looked up, by digest or commit."""
